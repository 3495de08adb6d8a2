"""Attention fuse layer: the vectors of a user's partitions become one (paper, section 3.4.2)."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from liber_tasks.backbones.rows import sum_rows, take

SMALL = 1024  # places for partitions, padding included, below which one pass over all is faster than several


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

    def forward(self, vectors: Tensor, memories: Tensor, mask: Tensor) -> Tensor:
        """Fused vectors (M, d).

        Each vector is projected once, however many memories hold it. Memories are taken together by how many partitions
        they have, up to 1, 4, 16, ...: most have few and some have many, so that padding all to the longest would be
        several times the work.

        Args:
            vectors: (V, in_features) float32, each r_j once.
            memories: (M, P) int64, rows of `vectors`.
            mask: (M, P) bool, True where there is a partition.
        """
        scaled = self.query.weight / math.sqrt(self.query.out_features)
        projected = nn.functional.linear(vectors, torch.cat([scaled, self.key.weight, self.value.weight]))
        rows, pooled = [], []
        for chosen, latest in _by_length(mask):
            query, key, value = take(projected, memories[chosen, -latest:]).chunk(3, dim=-1)
            share = shares(query, key, mask[chosen, -latest:])
            rows.append(chosen)
            pooled.append(torch.bmm(share.unsqueeze(1), value).squeeze(1))
        fused = self.nothing.expand(len(memories), -1)
        return fused.index_put((torch.cat(rows),), torch.cat(pooled)) if rows else fused


def shares(query: Tensor, key: Tensor, mask: Tensor) -> Tensor:
    """Share of each partition in the fused vector, (B, P): padding has 0, each row sums to 1.

    The mean over queries is taken on the attention weights, before they meet the values: the same sum, less work.

    Args:
        query: (B, P, d), divided by sqrt(d).
        key: (B, P, d).
        mask: (B, P) bool, True where there is a partition; at least one in each row.
    """
    padding = torch.where(mask, 0.0, -math.inf).to(query.dtype).unsqueeze(1)
    attention = torch.softmax(torch.baddbmm(padding, query, key.transpose(1, 2)), dim=-1)
    counts = mask / mask.sum(dim=1, keepdim=True)
    return torch.bmm(counts.to(attention.dtype).unsqueeze(1), attention).squeeze(1)


def _by_length(mask: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Rows of `mask` (M, P) whose first True is among their last 1, then 4, 16, ...: their numbers, and that length.

    Rows without a True are in none. A small mask is not worth several passes: all its rows come at once.
    """
    width = mask.shape[1]
    if not width:
        return
    length = (width - mask.int().argmax(dim=1)) * mask.any(dim=1)
    shorter, size = 0, width if mask.numel() <= SMALL else 1
    while shorter < width:
        rows = ((length > shorter) & (length <= size)).nonzero().squeeze(1)
        if len(rows):
            yield rows, min(size, width)
        shorter, size = size, 4 * size


class MeanPooling(nn.Module):
    """The mean of the real partitions' vectors, projected: self-attention left out (paper, Figure 4)."""

    def __init__(self, in_features: int, out_features: int) -> None:
        """As in `SelfAttentionPooling`."""
        super().__init__()
        self.value = nn.Linear(in_features, out_features, bias=False)
        self.nothing = nn.Parameter(torch.zeros(out_features))

    def forward(self, vectors: Tensor, memories: Tensor, mask: Tensor) -> Tensor:
        """As in `SelfAttentionPooling`."""
        count = mask.sum(dim=1)
        pooled = sum_rows(vectors, memories[mask], count) / count.clamp(min=1).unsqueeze(1)
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
