"""What every backbone reads: one batch of samples as tensors."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor

_SHARED = ("entry_", "vectors", "memories", "fused")  # beginnings of the fields without a row for each sample


@dataclass(frozen=True)
class Sizes:
    """Numbers of values a model's embeddings are made for, "unknown" included."""

    user: tuple[int, ...]  # of each column of Batch.user
    items: int
    lustra: int
    genres: int  # G, columns of the multi-hot; there is no unknown one


class Output(NamedTuple):
    """What a backbone returns."""

    logits: Tensor  # (B,) float32
    auxiliary: Tensor | None = None  # scalar: a further loss to add while training (DIEN), already weighted


@dataclass(frozen=True)
class Batch:
    """B samples with L history positions, G genres, and memories of up to P of V partition vectors of length d.

    The same items fill many histories of a batch: they are kept once, as E distinct entries, and embedded once.
    Samples of one user between two partitions share a memory: it is kept once, as one of M, and fused once. A user's
    memories are beginnings of the last one: their vectors are kept once, and projected once.
    Index 0 means "unknown" in every field.
    """

    user: Tensor  # (B, 4) int64: user id, age bucket, gender, occupation
    item: Tensor  # (B, 2) int64: item id, lustrum (5 years) of the item's year
    genres: Tensor  # (B, G) float32: 1 / number of the item's genres, or 0
    history: Tensor  # (B, L) int64, entry at each position, oldest first
    history_mask: Tensor  # (B, L) bool: True where there is a behaviour
    entry_item: Tensor  # (E,) int64: item id
    entry_genres: Tensor  # (E, G) float32, as `genres`
    entry_response: Tensor  # (E,) int64: 0 to 4: rated with 1 to 5 stars; 5: not rated
    memory_of: Tensor  # (B,) int64, which of the memories is the sample's
    vectors: Tensor  # (V, d) float32: r_j (paper, Eq. 4)
    memories: Tensor  # (M, P) int64, vector at each place, oldest first
    memories_mask: Tensor  # (M, P) bool: True where there is a partition
    dense: Tensor  # (B, F) float32: numbers known before the sample, not standardised; F may be 0
    candidate: Tensor  # (B, v) float32: the candidate's text vector; v = 0 where no option reads it
    profile: (
        Tensor  # (B, Q, 2, v) float32: mean vector of what was disliked, liked in each closed partition; Q may be 0
    )
    profile_mask: Tensor  # (B, Q, 2) bool: True where a partition has any
    fused: Tensor | None = None  # (M, f) float32: `LiberModel.fused` of the memories, read in their place
    negatives: Tensor | None = None  # (B, L) int64, entry of an item drawn from those seen before; training only

    def __len__(self) -> int:
        return len(self.user)

    def part(self, rows: Tensor | slice) -> "Batch":
        """The samples `rows`, numbers (n,) int64 or a slice; what samples share stays whole."""
        return self._with(lambda name, value: value if name.startswith(_SHARED) else value[rows])

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return self._with(lambda _, value: value.to(device))

    def _with(self, change: Callable[[str, Tensor], Tensor]) -> "Batch":
        tensors: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in tensors.items():
            tensors[name] = None if value is None else change(name, value)
        return Batch(**tensors)
