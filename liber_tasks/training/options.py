"""Hyperparameters (paper, section 4.1.3): one set, chosen on the validation tail of MovieLens-100K."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Options:
    """How a model is trained."""

    embedding_size: int = 32
    hidden: tuple[int, ...] = (200, 80)
    batch_size: int = 512
    learning_rate: float = 5e-4
    max_epochs: int = 12
    patience: int = 2  # epochs without a better validation log loss before it stops
    dropout: float = 0.4  # in the MLP
    id_dropout: float = 0.2  # share of user and candidate ids replaced by "unknown" in training
    weight_decay: float = 1e-4
    fused_size: int | None = 8  # length of a fused vector; None: embedding_size. Validated: longer ones fit less well

    def to_dict(self) -> dict[str, Any]:
        """The options as JSON types."""
        return {**asdict(self), "hidden": list(self.hidden)}


# Where a backbone differs from the defaults, chosen on validation: with their decay DIEN is past its best in one epoch.
CHOSEN: Mapping[str, Options] = {"dien": Options(weight_decay=1e-3)}


def options_for(backbone: str) -> Options:
    """The hyperparameters chosen for a backbone."""
    return CHOSEN.get(backbone, Options())
