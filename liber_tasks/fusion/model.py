"""A model from its configuration: what training builds, the registry keeps and serving builds again."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from liber_tasks.backbones.batch import Sizes
from liber_tasks.backbones.by_name import backbone_of
from liber_tasks.backbones.vocabulary import AGE_BOUNDS, Vocabulary
from liber_tasks.errors import InputError
from liber_tasks.fusion.combine import LiberModel
from liber_tasks.fusion.options import FUSED, check_options

FORMAT = 4  # of saved models; raised when older weights or configurations no longer fit


@dataclass(frozen=True)
class ModelConfig:
    """Everything a model's shape and its inputs depend on, besides the vocabulary."""

    backbone: str
    options: tuple[str, ...]  # names in `fusion.options`; none: the bare backbone
    vector_size: int  # d, length of r_j; 0 where no option reads it
    profile_size: int  # v, length of item and profile vectors; 0 where no option reads them
    dense: tuple[str, ...]  # columns of Batch.dense
    max_history: int  # behaviours before the sample that the backbone reads
    max_past: int  # likewise, that dense features are made of; 0 where none is
    max_partitions: int  # partitions sealed before the sample
    embedding_size: int = 32
    hidden: tuple[int, ...] = (200, 80)
    dropout: float = 0.0
    fused_size: int | None = None  # f, length of a fused vector; None: embedding_size
    feedback: str | None = None  # the domain's rule by which behaviours are liked, as JSON; None: by ratings alone
    format: int = FORMAT

    def __post_init__(self) -> None:
        check_options(self.options)

    @property
    def reads_vectors(self) -> bool:
        """Whether the model reads r_1..r_j."""
        return bool(FUSED & set(self.options))

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON types."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

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
        read: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**read)


def build(config: ModelConfig, vocabulary: Vocabulary) -> LiberModel:
    """The model with fresh weights; `forward(batch)` gives `Output`.

    Whatever the options, one state of torch's random numbers gives the backbone the same weights, and what the options
    add weighs nothing at first: the model starts as its bare backbone.

    Raises:
        InputError: the backbone is not known; lists those that are.
    """
    make: Callable[..., Any] = backbone_of(config.backbone)
    sizes = Sizes(
        user=(
            len(vocabulary.users) + 1,
            len(AGE_BOUNDS) + 2,
            len(vocabulary.genders) + 1,
            len(vocabulary.occupations) + 1,
        ),
        items=len(vocabulary.items) + 1,
        lustra=len(vocabulary.lustra) + 1,
        genres=len(vocabulary.genres),
    )
    shape = {"embedding_size": config.embedding_size, "hidden": config.hidden, "dropout": config.dropout}
    bare = make(sizes, **shape)

    def extended(extra: int) -> nn.Module:
        if not extra:
            return bare
        wide = make(sizes, **shape, extra=extra)
        start_as(wide, bare.state_dict())
        return wide

    fused_size = config.fused_size or config.embedding_size
    return LiberModel(extended, config.options, config.vector_size, config.profile_size, len(config.dense), fused_size)


@torch.no_grad()
def start_as(wide: nn.Module, bare: dict[str, Tensor]) -> None:
    """Give a model with further inputs the weights of the one without: leading slices copied, the rest of them zero.

    Tensors that only the wide model has keep their own start, which its author has to make one that adds nothing.
    """
    for name, weight in wide.state_dict().items():
        if name in bare:
            weight.zero_()
            weight[tuple(slice(n) for n in bare[name].shape)] = bare[name]
