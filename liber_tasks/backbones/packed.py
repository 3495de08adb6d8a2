"""Histories without padding: the real behaviours of a batch, step after step, longest histories first."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packed:
    """Where the N real behaviours of a batch of histories lie, in packed order.

    Step t holds the t-th behaviour (from the oldest) of each history that has one. The histories are ordered by length,
    so those still going at a step are the first ones of the step before.
    """

    row: Tensor  # (N,) int64: row of the batch
    column: Tensor  # (N,) int64: position in the padded history
    sizes: tuple[int, ...]  # behaviours of each step, descending; their sum is N
    last: Tensor  # (B,) int64: number of each row's latest behaviour; -1 for an empty history

    def previous(self) -> Tensor:
        """Number of the same row's behaviour one step earlier, for every behaviour after the first step, (N - n_0,)."""
        after = self.row.new_tensor(self.sizes[1:])
        before = self.row.new_tensor(self.sizes[:-1])
        first = sum(self.sizes[:1])
        number = torch.arange(first, len(self.row), device=self.row.device)
        return number - torch.repeat_interleave(before, after, output_size=len(number))


def pack(mask: Tensor) -> Packed:
    """Order of the behaviours of right-aligned histories; `mask` (B, L) bool, True where there is one."""
    length = mask.sum(dim=1)
    order = torch.argsort(length, descending=True, stable=True)
    sorted_length = length[order]
    step = torch.arange(mask.shape[1], device=mask.device).unsqueeze(1)
    there = step < sorted_length  # (L, B)
    column = (step + mask.shape[1] - sorted_length)[there]
    sizes = there.sum(dim=1)
    start = sizes.cumsum(0) - sizes
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=mask.device)
    last = torch.full_like(length, -1)
    if mask.shape[1]:
        last = torch.where(length > 0, start[(length - 1).clamp(min=0)] + rank, last)
    return Packed(order.expand_as(there)[there], column, tuple(n for n in sizes.tolist() if n), last)
