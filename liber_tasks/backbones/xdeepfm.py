"""xDeepFM (Lian et al., KDD 2018): explicit vector-wise crosses of bounded degree beside a deep tower."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from liber_tasks.backbones.batch import Batch, Output, Sizes
from liber_tasks.backbones.fields import Fields, FirstOrder, joined
from liber_tasks.backbones.layers import MLP

FEATURE_MAPS = (16, 16)


class CompressedInteraction(nn.Module):
    """X^k_h = sum_ij W^{k,h}_ij (X^{k-1}_i * X^0_j), summed over D, all layers side by side (xDeepFM, Eq. 6 to 8).

    The activation between layers is the identity, which the paper found best.
    """

    def __init__(self, fields: int, maps: Sequence[int] = FEATURE_MAPS) -> None:
        """`fields`: m, of X^0; `maps`: H_k, rows of X^k."""
        super().__init__()
        rows = [fields, *maps]
        self.filters = nn.ParameterList(
            torch.empty(height, previous, fields) for previous, height in zip(rows, maps, strict=False)
        )
        for weight in self.filters:
            nn.init.normal_(weight, std=(weight.shape[1] * fields) ** -0.5)
        self.out_features = sum(maps)

    def forward(self, inputs: Tensor) -> Tensor:
        """`inputs` (B, m, D), X^0, to (B, sum of H_k)."""
        batch, _, dimension = inputs.shape
        # maps as rows, samples and dimensions as columns: one matrix product a layer
        base = inputs.transpose(0, 1).flatten(1)
        layer, pooled = base, []
        for weight in self.filters:
            products = (layer.unsqueeze(1) * base.unsqueeze(0)).flatten(0, 1)
            layer = weight.flatten(1) @ products
            pooled.append(layer.unflatten(1, (batch, dimension)).sum(dim=2))
        return torch.cat(pooled).T


class XDeepFM(nn.Module):
    """First-order weights, compressed interaction network and deep tower, added (xDeepFM, Eq. 9)."""

    def __init__(
        self,
        sizes: Sizes,
        embedding_size: int = 32,
        hidden: Sequence[int] = (200, 80),
        dropout: float = 0.0,
        extra: int = 0,
        maps: Sequence[int] = FEATURE_MAPS,
    ) -> None:
        """`extra`: number of further features (paper, Eq. 7), in all three parts; `maps`: rows of each CIN layer."""
        super().__init__()
        self.fields = Fields(sizes, embedding_size, extra)
        self.first_order = FirstOrder(sizes, extra)
        self.interaction = CompressedInteraction(self.fields.count, maps)
        self.interaction_out = nn.Linear(self.interaction.out_features, 1, bias=False)
        self.mlp = MLP(self.fields.base * embedding_size + extra, hidden, dropout)

    def forward(self, batch: Batch, extra: Tensor | None = None) -> Output:
        """Logits (B,). `extra` (B, E): further features (paper, Eq. 7)."""
        fields = self.fields(batch, extra)
        crossed = self.interaction_out(self.interaction(fields)).squeeze(1)
        deep = self.mlp(joined(fields[:, : self.fields.base], extra))
        return Output(self.first_order(batch, extra) + crossed + deep)
