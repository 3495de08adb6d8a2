"""What every backbone reads: one batch of samples as tensors."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """B samples with L history positions, G genres and P partition vectors of length d.

    The same items fill many histories of a batch: they are kept once, as E distinct entries, and embedded once.
    Index 0 means "unknown" in every field.
    """

    user: Tensor  # (B, 4) int64: user id, age bucket, gender, occupation
    item: Tensor  # (B, 2) int64: item id, lustrum (5 years) of the item's year
    genres: Tensor  # (B, G) float32: 1 / number of the item's genres, or 0
    history: Tensor  # (B, L) int64, entry at each position, oldest first
    history_mask: Tensor  # (B, L) bool: True where there is a behaviour
    entry_item: Tensor  # (E,) int64: item id
    entry_genres: Tensor  # (E, G) float32, as `genres`
    entry_sign: Tensor  # (E,) int64: 0 disliked, 1 liked, 2 not rated
    memory: Tensor  # (B, P, d) float32: r_1..r_j (paper, Eq. 4), oldest first
    memory_mask: Tensor  # (B, P) bool: True where there is a partition

    def __len__(self) -> int:
        return len(self.user)
