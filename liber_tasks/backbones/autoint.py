"""AutoInt+ (Song et al., CIKM 2019): self-attention among fields beside a deep tower."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from liber_tasks.backbones.batch import Batch, Output, Sizes
from liber_tasks.backbones.fields import Fields, joined
from liber_tasks.backbones.layers import MLP

LAYERS, HEADS = 2, 2


class InteractingLayer(nn.Module):
    """Multi-head self-attention among fields with a residual (AutoInt, Eq. 5 to 8).

    e'_m = ReLU(concat_h sum_k softmax_k(<Wq_h e_m, Wk_h e_k>) Wv_h e_k + Wres e_m); scores not scaled, as published.
    """

    def __init__(self, in_features: int, out_features: int, heads: int = HEADS) -> None:
        """`in_features`: of each field; `out_features`: of all heads together, a multiple of `heads`."""
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(in_features, out_features, bias=False)
        self.key = nn.Linear(in_features, out_features, bias=False)
        self.value = nn.Linear(in_features, out_features, bias=False)
        self.residual = nn.Linear(in_features, out_features, bias=False)
        for weight in self.parameters():
            nn.init.xavier_normal_(weight)

    def forward(self, fields: Tensor) -> Tensor:
        """`fields` (B, m, in_features) to (B, m, out_features)."""

        def split(projected: Tensor) -> Tensor:
            return projected.unflatten(2, (self.heads, -1)).transpose(1, 2)

        query, key, value = split(self.query(fields)), split(self.key(fields)), split(self.value(fields))
        attention = torch.softmax(query @ key.transpose(2, 3), dim=3)
        attended = (attention @ value).transpose(1, 2).flatten(2)
        return torch.relu(attended + self.residual(fields))


class AutoInt(nn.Module):
    """Interacting layers, flattened to one linear output, plus a deep tower (AutoInt+, section 5.5)."""

    def __init__(
        self,
        sizes: Sizes,
        embedding_size: int = 32,
        hidden: Sequence[int] = (200, 80),
        dropout: float = 0.0,
        extra: int = 0,
        layers: int = LAYERS,
        heads: int = HEADS,
    ) -> None:
        """`extra`: number of further features (paper, Eq. 7), inputs of the tower; `layers`, `heads`: of attention."""
        super().__init__()
        self.fields = Fields(sizes, embedding_size)
        self.layers = nn.ModuleList(InteractingLayer(embedding_size, embedding_size, heads) for _ in range(layers))
        width = self.fields.count * embedding_size
        self.attention_out = nn.Linear(width, 1, bias=False)
        self.mlp = MLP(width + extra, hidden, dropout)

    def forward(self, batch: Batch, extra: Tensor | None = None) -> Output:
        """Logits (B,). `extra` (B, E): further features (paper, Eq. 7)."""
        fields = self.fields(batch)
        attended = fields
        for layer in self.layers:
            attended = layer(attended)
        return Output(self.attention_out(attended.flatten(1)).squeeze(1) + self.mlp(joined(fields, extra)))
