"""A model from its configuration: what training builds, the registry keeps and serving builds again."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import nn

from liber_tasks.backbones.din import DIN
from liber_tasks.backbones.vocabulary import AGE_BOUNDS, Vocabulary
from liber_tasks.errors import InputError
from liber_tasks.fusion.combine import LiberModel

Memory = Literal["none", "liber"]
BACKBONES: dict[str, Callable[..., Any]] = {"din": DIN}
FORMAT = 1  # of saved models; raised when older weights or configurations no longer fit


@dataclass(frozen=True)
class ModelConfig:
    """Everything a model's shape and its inputs depend on, besides the vocabulary."""

    backbone: str
    memory: Memory
    vector_size: int  # length of r_j; 0 without memory
    max_history: int  # behaviours before the sample
    max_partitions: int  # partitions sealed before the sample
    embedding_size: int = 32
    hidden: tuple[int, ...] = (200, 80)
    dropout: float = 0.0
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON types."""
        return {**asdict(self), "hidden": list(self.hidden)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ModelConfig":
        """Read what `to_dict` wrote.

        Raises:
            InputError: the model was saved in another format; says what to do.
        """
        if values.get("format") != FORMAT:
            raise InputError(
                f"The model has format {values.get('format')}, this code reads {FORMAT}: "
                "train it again with `liber train`."
            )
        return cls(**{**values, "hidden": tuple(values["hidden"])})


def build(config: ModelConfig, vocabulary: Vocabulary) -> nn.Module:
    """The model with fresh weights; `forward(batch)` gives logits (B,).

    Raises:
        InputError: the backbone is not known; lists those that are.
    """
    if config.backbone not in BACKBONES:
        raise InputError(f"There is no backbone {config.backbone!r}: choose one of {', '.join(sorted(BACKBONES))}.")
    backbone = BACKBONES[config.backbone](
        user_sizes=(
            len(vocabulary.users) + 1,
            len(AGE_BOUNDS) + 2,
            len(vocabulary.genders) + 1,
            len(vocabulary.occupations) + 1,
        ),
        items=len(vocabulary.items) + 1,
        lustra=len(vocabulary.lustra) + 1,
        genres=len(vocabulary.genres),
        embedding_size=config.embedding_size,
        hidden=config.hidden,
        dropout=config.dropout,
    )
    if config.memory == "none":
        return backbone
    return LiberModel(backbone, config.vector_size, config.embedding_size)
