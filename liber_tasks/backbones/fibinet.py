"""FiBiNET (Huang et al., RecSys 2019): fields weighed by importance, pairs of them by a bilinear product."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from liber_tasks.backbones.batch import Batch, Output, Sizes
from liber_tasks.backbones.fields import Fields, FirstOrder, joined, pairs
from liber_tasks.backbones.layers import MLP

Kind = Literal["all", "each", "interaction"]
REDUCTION = 3  # r of the excitation (FiBiNET, section 4.1)


class Senet(nn.Module):
    """v_i = a_i e_i with a = s2(W2 s1(W1 z)), z_i = mean of e_i (FiBiNET, Eq. 2 to 4).

    s1 is ReLU, s2 sigmoid, as in the squeeze-and-excitation network the layer comes from: with ReLU a field whose
    weight is zero could never gain one.
    """

    def __init__(self, fields: int, reduced: int) -> None:
        """`fields`: m; `reduced`: width between W1 and W2."""
        super().__init__()
        self.squeeze = nn.Linear(fields, reduced, bias=False)
        self.excite = nn.Linear(reduced, fields, bias=False)
        for weight in self.parameters():
            nn.init.xavier_normal_(weight)

    def forward(self, fields: Tensor) -> Tensor:
        """`fields` (B, m, D) to the same shape."""
        weights = torch.sigmoid(self.excite(torch.relu(self.squeeze(fields.mean(dim=2)))))
        return fields * weights.unsqueeze(2)


class BilinearInteraction(nn.Module):
    """p_ij = (v_i W) * v_j for every pair i < j (FiBiNET, Eq. 5 to 7).

    W is one matrix for all pairs ("all"), one for each left field i ("each") or one for each pair ("interaction").
    """

    def __init__(self, fields: int, dimension: int, kind: Kind, further: int = 0) -> None:
        """Matrices for `fields` fields.

        Args:
            fields: m, without the further one.
            dimension: D, of each.
            kind: which pairs share a matrix.
            further: 1 if one more field follows. Its matrices are a tensor of their own: they keep their start, and the
                first layer that reads the products gives them no weight (see `fusion.model.start_as`).
        """
        super().__init__()
        self.kind = kind
        matrices, more = {
            "all": (1, 0),
            "each": (fields - 1, further),
            "interaction": (fields * (fields - 1) // 2, further * fields),
        }[kind]
        self.weight = nn.Parameter(torch.empty(matrices, dimension, dimension))
        self.further = nn.Parameter(torch.empty(more, dimension, dimension)) if more else None
        for weight in self.parameters():
            nn.init.normal_(weight, std=dimension**-0.5)
        self.earlier: Tensor
        self.later: Tensor
        earlier, later = pairs(fields + further)
        self.register_buffer("earlier", earlier, persistent=False)
        self.register_buffer("later", later, persistent=False)
        self.pairs = len(earlier)

    def forward(self, fields: Tensor) -> Tensor:
        """`fields` (B, m, D) to (B, pairs, D), pairs ordered by their later member."""
        weight = self.weight if self.further is None else torch.cat([self.weight, self.further])
        if self.kind == "all":
            left = (fields @ weight[0]).index_select(1, self.earlier)
        elif self.kind == "each":
            left = _one_matrix_each(fields[:, :-1], weight).index_select(1, self.earlier)
        else:
            left = _one_matrix_each(fields.index_select(1, self.earlier), weight)
        return left * fields.index_select(1, self.later)


def _one_matrix_each(vectors: Tensor, weight: Tensor) -> Tensor:
    """`vectors` (B, n, D) times `weight` (n, D, D), each by its own, (B, n, D)."""
    return torch.bmm(vectors.transpose(0, 1), weight).transpose(0, 1)


class FiBiNET(nn.Module):
    """Bilinear products of the fields as they are and as SENET weighs them, into a deep tower, plus first order."""

    def __init__(
        self,
        sizes: Sizes,
        embedding_size: int = 32,
        hidden: Sequence[int] = (200, 80),
        dropout: float = 0.0,
        extra: int = 0,
        kind: Kind = "interaction",
    ) -> None:
        """`extra`: number of further features (paper, Eq. 7): one more field, first order, and inputs of the tower."""
        super().__init__()
        self.fields = Fields(sizes, embedding_size, extra)
        self.first_order = FirstOrder(sizes, extra)
        self.senet = Senet(self.fields.count, max(1, self.fields.base // REDUCTION))
        self.plain = BilinearInteraction(self.fields.base, embedding_size, kind, self.fields.count - self.fields.base)
        self.weighed = BilinearInteraction(self.fields.base, embedding_size, kind, self.fields.count - self.fields.base)
        self.mlp = MLP(2 * self.plain.pairs * embedding_size + extra, hidden, dropout)

    def forward(self, batch: Batch, extra: Tensor | None = None) -> Output:
        """Logits (B,). `extra` (B, E): further features (paper, Eq. 7)."""
        fields = self.fields(batch, extra)
        # pair by pair, plain and weighed side by side: the pairs of a further field come last
        products = torch.cat([self.plain(fields), self.weighed(self.senet(fields))], dim=2)
        return Output(self.first_order(batch, extra) + self.mlp(joined(products, extra)))
