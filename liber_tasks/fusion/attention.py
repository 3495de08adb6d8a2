"""Attention fuse layer: the vectors of a user's partitions become one (paper, section 3.4.2)."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class SelfAttentionPooling(nn.Module):
    """SelfAttn(R) = Aggr(Softmax(R Wq (R Wk)^T / sqrt(d)) R Wv) (paper, Eq. 5 and 6), Aggr = mean (section 4.1.3).

    Only real partitions attend, are attended to and are averaged. A user without any gets a learned vector, which
    starts at zero.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        """`in_features`: length of r_j; `out_features`: d, length of the fused vector."""
        super().__init__()
        self.query = nn.Linear(in_features, out_features, bias=False)
        self.key = nn.Linear(in_features, out_features, bias=False)
        self.value = nn.Linear(in_features, out_features, bias=False)
        self.nothing = nn.Parameter(torch.zeros(out_features))

    def weights(self, memory: Tensor, mask: Tensor) -> Tensor:
        """Share of each partition in the fused vector, (B, P): padding has 0, each row sums to 1 (0 without partition).

        The mean over queries is taken on the attention weights, before they meet the values: the same sum, less work.
        """
        scores = self.query(memory) @ self.key(memory).transpose(1, 2) / math.sqrt(self.query.out_features)
        empty = ~mask.any(dim=1, keepdim=True)
        scores = scores.masked_fill(~(mask | empty).unsqueeze(1), -math.inf)  # a row of -inf only would be NaN
        attention = torch.softmax(scores, dim=-1) * mask.unsqueeze(-1)
        return attention.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1) * mask

    def forward(self, memory: Tensor, mask: Tensor) -> Tensor:
        """`memory` (B, P, in_features) float32, `mask` (B, P) bool, True where there is a partition, to (B, d).

        Users are taken together by how many partitions they have, up to 1, 2, 4, ...: most have few and some have many,
        so that padding all to the longest would be several times the work. Projected is what was pooled: the same sum.
        """
        fused = self.nothing.expand(len(memory), -1)
        rows, pooled = [], []
        for chosen, latest in _by_length(mask):
            some, real = memory[chosen, -latest:], mask[chosen, -latest:]
            rows.append(chosen)
            pooled.append((self.weights(some, real).unsqueeze(1) @ some).squeeze(1))
        return fused.index_put((torch.cat(rows),), self.value(torch.cat(pooled))) if rows else fused


def _by_length(mask: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Rows of `mask` (B, P) whose first True is among their last 1, then 2, 4, ...: their numbers, and that length.

    Rows without a True are in none.
    """
    width = mask.shape[1]
    if not width:
        return
    length = (width - mask.int().argmax(dim=1)) * mask.any(dim=1)
    shorter, size = 0, 1
    while shorter < width:
        rows = ((length > shorter) & (length <= size)).nonzero().squeeze(1)
        if len(rows):
            yield rows, min(size, width)
        shorter, size = size, 2 * size


class MeanPooling(nn.Module):
    """The mean of the real partitions' vectors, projected: self-attention left out (paper, Figure 4)."""

    def __init__(self, in_features: int, out_features: int) -> None:
        """As in `SelfAttentionPooling`."""
        super().__init__()
        self.value = nn.Linear(in_features, out_features, bias=False)
        self.nothing = nn.Parameter(torch.zeros(out_features))

    def weights(self, memory: Tensor, mask: Tensor) -> Tensor:
        """Share of each partition in the fused vector, (B, P)."""
        return mask / mask.sum(dim=1, keepdim=True).clamp(min=1)

    def forward(self, memory: Tensor, mask: Tensor) -> Tensor:
        """As in `SelfAttentionPooling`."""
        pooled = (self.weights(memory, mask).unsqueeze(1) @ memory).squeeze(1)
        return torch.where(mask.any(dim=1, keepdim=True), self.value(pooled), self.nothing)


class TargetAttention(nn.Module):
    """The candidate's text vector attends to the partitions' vectors, to disliked and liked ones apart.

    a = softmax(c Wq (R Wk)^T / sqrt(d)) over real partitions, pooled = a R Wv, for each of the two. A user without any
    gets a learned vector, which starts at zero. Beyond the paper: a pooled vector that does not see the candidate
    cannot say whether it fits.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        """`in_features`: v, length of item and profile vectors; `out_features`: d, length of each result."""
        super().__init__()
        self.query = nn.Linear(in_features, 2 * out_features, bias=False)
        self.key = nn.Linear(in_features, 2 * out_features, bias=False)
        self.value = nn.Linear(in_features, out_features, bias=False)
        self.nothing = nn.Parameter(torch.zeros(2, out_features))

    def forward(self, candidate: Tensor, profile: Tensor, mask: Tensor) -> Tensor:
        """`candidate` (B, v), `profile` (B, Q, 2, v), `mask` (B, Q, 2) bool, to (B, 2 * d)."""
        size = self.nothing.shape[1]
        query = self.query(candidate).unflatten(-1, (2, size))
        # (c Wq) . (R Wk) = ((c Wq) Wk^T) . R: one product with R as it is, not one projection of each partition
        kernel = torch.einsum("bsd,sdv->bsv", query, self.key.weight.unflatten(0, (2, size)))
        scores = torch.einsum("bsv,bqsv->bsq", kernel, profile) / math.sqrt(size)
        real = mask.transpose(1, 2)
        some = real.any(dim=-1, keepdim=True)
        attention = torch.softmax(scores.masked_fill(~real & some, -math.inf), dim=-1) * real
        attended = self.value(torch.einsum("bsq,bqsv->bsv", attention, profile))
        return torch.where(some, attended, self.nothing).flatten(1)
