"""Partition profiles: what was liked and disliked in a closed partition, to compare a candidate with."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from liber_tasks.features.ranges import flat, largest, mean, total
from liber_tasks.features.responses import disliked, liked

SIGNED = ("disliked", "liked")
NAMES = (
    *(f"{sign}_{what}" for sign in SIGNED for what in ("mean", "largest", "last", "last_less_earlier")),
    "recent",
    "alike",
    "none",
)
SHRINK = 1.0  # items of no direction that are added to a partition's own
HALF_LIFE = 2.0  # partitions
SHARPNESS = 10.0  # of the weights by similarity
_CHUNK = 65_536  # pairs compared at once


class Profiles(Protocol):
    """What was liked and disliked in each of Q partitions, in one view of the items."""

    @property
    def some(self) -> np.ndarray:
        """(Q, 2) bool: which of `SIGNED` hold any item."""
        ...

    def scores(self, partition: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Similarity of items to partitions, pair by pair: (p, 2) float, a column for each of `SIGNED`.

        Args:
            partition: (p,) int64, among the Q.
            item: (p,) int64, rows of the catalogue.
        """
        ...


@dataclass(frozen=True)
class VectorProfiles:
    """Profiles by vectors.

    Attributes:
        view: (C, v) float32, directions of items: of length 1, or zeros where nothing is known.
        mean: (Q, 2, v) float32, mean direction of the disliked and of the liked items, shrunk by their number.
        some: as in `Profiles`.
    """

    view: np.ndarray
    mean: np.ndarray
    some: np.ndarray

    def scores(self, partition: np.ndarray, item: np.ndarray) -> np.ndarray:
        """As in `Profiles`: an item's direction times the shrunk mean, so that one item counts less than many."""
        return np.einsum("psv,pv->ps", self.mean[partition], self.view[item])


def profiles(
    view: np.ndarray, item: np.ndarray, response: np.ndarray, partition: np.ndarray, partitions: int
) -> VectorProfiles:
    """Mean direction of the disliked and of the liked items of each partition, shrunk by their number.

    Args:
        view: (C, v) float32 of the catalogue; an item of which nothing is known has zeros.
        item, response, partition: (N,) int64 of behaviours; partition -1: in none.
        partitions: Q, their number.
    """
    known = np.abs(view).sum(axis=1) > 0
    found = np.zeros((partitions, 2, view.shape[1]), dtype=np.float32)
    some = np.zeros((partitions, 2), dtype=bool)
    for of, chosen in enumerate((disliked(response), liked(response))):
        rows = np.flatnonzero(chosen & (partition >= 0) & known[item])
        if not len(rows):
            continue
        owner = partition[rows]
        order = np.argsort(owner, kind="stable")
        rows, owner = rows[order], owner[order]
        first = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
        count = np.diff(np.r_[first, len(owner)])
        sums = np.add.reduceat(view[item[rows]], first, axis=0)
        found[owner[first], of] = sums / (count + SHRINK)[:, None]
        some[owner[first], of] = True
    return VectorProfiles(view, found, some)


def similarity(profiles: Profiles, start: np.ndarray, end: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """Scalars that compare candidates with the partitions closed before.

    Args:
        profiles: of the Q partitions, a user's by time.
        start, end: (n,) int64, ranges of partitions.
        candidate: (n,) int64, rows of the catalogue.

    Returns:
        (n, 11) float32, `NAMES`: for disliked and liked the mean, the largest, the last and the last less the mean of
        the earlier similarities; liked less disliked weighted by recency, and by likeness; 1 where there is no
        partition.
    """
    n = len(start)
    owner, row = flat(start, end)
    score = np.empty((len(row), 2))
    for begin in range(0, len(row), _CHUNK):  # bounded memory
        part = slice(begin, begin + _CHUNK)
        score[part] = profiles.scores(row[part], candidate[owner[part]])
    columns = []
    is_last = row == end[owner] - 1
    for of in range(len(SIGNED)):
        real = profiles.some[row, of]
        last = total(owner[is_last], score[is_last, of], n)
        earlier = real & ~is_last
        columns += [
            mean(owner[real], score[real, of], n),
            largest(owner[real], score[real, of], n),
            last,
            last - mean(owner[earlier], score[earlier, of], n),
        ]
    balance = score[:, 1] - score[:, 0]
    recency = 0.5 ** ((end[owner] - 1 - row) / HALF_LIFE)
    likeness = np.exp(SHARPNESS * score.max(axis=1, initial=0.0)) if len(row) else np.zeros(0)
    for weight in (recency, likeness):
        columns.append(total(owner, weight * balance, n) / np.maximum(total(owner, weight, n), 1e-12))
    columns.append((end == start).astype(float))
    return np.stack(columns, axis=1).astype(np.float32)


def directions(vectors: np.ndarray, fitted_on: np.ndarray) -> np.ndarray:
    """Vectors (C, v) less the mean of the rows `fitted_on`, each of length 1; rows of zeros stay zeros."""
    known = np.abs(vectors).sum(axis=1) > 0
    chosen = fitted_on[known[fitted_on]]
    centre = vectors[chosen].mean(axis=0) if len(chosen) else np.zeros(vectors.shape[1], dtype=vectors.dtype)
    moved = np.where(known[:, None], vectors - centre, 0.0)
    return (moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)).astype(np.float32)
