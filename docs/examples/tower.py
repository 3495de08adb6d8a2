"""A backbone of one's own: the fields of a sample through one deep tower."""

from collections.abc import Sequence

from torch import Tensor, nn

from liber_tasks.backbones.batch import Batch, Output, Sizes
from liber_tasks.backbones.fields import Fields, joined
from liber_tasks.backbones.layers import MLP


class Tower(nn.Module):
    """Embeddings side by side, then hidden layers."""

    def __init__(
        self,
        sizes: Sizes,
        embedding_size: int = 32,
        hidden: Sequence[int] = (200, 80),
        dropout: float = 0.0,
        extra: int = 0,
    ) -> None:
        """`extra`: number of further features (paper, Eq. 7); their weights come last in every tensor."""
        super().__init__()
        self.fields = Fields(sizes, embedding_size)
        self.mlp = MLP(self.fields.count * embedding_size + extra, hidden, dropout)

    def forward(self, batch: Batch, extra: Tensor | None = None) -> Output:
        """Logits (B,). `extra` (B, E): further features."""
        return Output(self.mlp(joined(self.fields(batch), extra)))
