"""DeepFM (Guo et al., IJCAI 2017): a factorisation machine and a deep tower over the same embeddings."""

from collections.abc import Sequence

from torch import Tensor, nn

from liber_tasks.backbones.batch import Batch, Output, Sizes
from liber_tasks.backbones.fields import Fields, FirstOrder, joined
from liber_tasks.backbones.layers import MLP


def pairwise_products(fields: Tensor) -> Tensor:
    """Sum of <v_i, v_j>, i < j, of fields (B, m, D), (B,): half of |sum v|^2 - sum |v|^2 (DeepFM, Eq. 2)."""
    return (fields.sum(dim=1).square() - fields.square().sum(dim=1)).sum(dim=1) / 2


class DeepFM(nn.Module):
    """First-order weights, inner products of all pairs of fields and a deep tower, added (DeepFM, Eq. 1)."""

    def __init__(
        self,
        sizes: Sizes,
        embedding_size: int = 32,
        hidden: Sequence[int] = (200, 80),
        dropout: float = 0.0,
        extra: int = 0,
    ) -> None:
        """`extra`: number of further features (paper, Eq. 7): in all three parts, as one more field in the second."""
        super().__init__()
        self.fields = Fields(sizes, embedding_size, extra, spread=0.0)  # a product needs no weight: it starts at zero
        self.first_order = FirstOrder(sizes, extra)
        self.mlp = MLP(self.fields.base * embedding_size + extra, hidden, dropout)

    def forward(self, batch: Batch, extra: Tensor | None = None) -> Output:
        """Logits (B,). `extra` (B, E): further features (paper, Eq. 7)."""
        fields = self.fields(batch, extra)
        deep = self.mlp(joined(fields[:, : self.fields.base], extra))
        return Output(self.first_order(batch, extra) + pairwise_products(fields) + deep)
