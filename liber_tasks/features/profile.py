"""Partition profiles: what was liked and disliked in a closed partition, to compare a candidate with."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Protocol

import numpy as np
from scipy import sparse

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
_CHUNK = 4096  # samples compared at once


class Profiles(Protocol):
    """What was liked and disliked in each of Q partitions, in one view of the items."""

    @property
    def some(self) -> np.ndarray:
        """(Q, 2) bool: which of `SIGNED` hold any item."""
        ...

    def scores(self, start: np.ndarray, end: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Similarity of each item to each partition of its range.

        Args:
            start, end: (n,) int64, ranges among the Q.
            item: (n,) int64, rows of the catalogue.

        Returns:
            (2, L, n) float32, L the length of the longest range: for each of `SIGNED`, ranges aligned at their end;
            0 before their start and where the partition holds no item.
        """
        ...


@dataclass(frozen=True)
class VectorProfiles:
    """Profiles by vectors.

    Attributes:
        view: (C, v) float32, directions of items: of length 1, or zeros where nothing is known.
        means: (q, 2, v) float32 each, of the Q partitions one after the other: mean direction of the disliked and of
            the liked items, shrunk by their number. Users' lie apart, as to join them costs as much as to compare.
        some: as in `Profiles`.
    """

    view: np.ndarray
    means: tuple[np.ndarray, ...]
    some: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """(Q, 2, v) float32: all `means` in one array."""
        return np.concatenate(self.means) if len(self.means) > 1 else self.means[0]

    def scores(self, start: np.ndarray, end: np.ndarray, item: np.ndarray) -> np.ndarray:
        """As in `Profiles`: an item's direction times the shrunk mean, so that one item counts less than many.

        No range may reach over two of `means`. Neighbours of the same range are compared in one product.
        """
        longest = int((end - start).max(initial=0))
        found = np.zeros((2, longest, len(item)), dtype=np.float32)
        vectors = self.view.take(item, axis=0)
        opened = [0, *accumulate(len(mean) for mean in self.means)]
        for first, last in pairwise(_bounds(start, end)):
            begin, until = int(start[first]), int(end[first])
            if begin < until:
                number = bisect_right(opened, begin) - 1
                seen = self.means[number][begin - opened[number] : until - opened[number]]
                score = seen.reshape(2 * len(seen), -1) @ vectors[first:last].T
                found[:, longest - len(seen) :, first:last] = score.reshape(len(seen), 2, -1).swapaxes(0, 1)
        return found

    def part(self, start: int, end: int) -> "VectorProfiles":
        """Of some of the partitions, in memory of their own."""
        return VectorProfiles(self.view, (self.mean[start:end].copy(),), self.some[start:end].copy())

    def joined(self, others: Sequence["VectorProfiles"]) -> "VectorProfiles":
        """Of these partitions, then those of others in the same view."""
        every = (self, *others)
        means = tuple(mean for each in every for mean in each.means)
        return VectorProfiles(self.view, means, np.concatenate([each.some for each in every]))


def profiles(
    view: np.ndarray, item: np.ndarray, response: np.ndarray, partition: np.ndarray, partitions: int
) -> VectorProfiles:
    """Mean direction of the disliked and of the liked items of each partition, shrunk by their number.

    Args:
        view: (C, v) float32 of the catalogue; an item of which nothing is known has zeros.
        item, response, partition: (N,) int64 of behaviours; partition -1: in none.
        partitions: Q, their number.
    """
    items, place = np.unique(item, return_inverse=True)
    vectors = view[items]
    known = vectors.any(axis=1)[place]
    found = np.zeros((partitions, 2, view.shape[1]), dtype=np.float32)
    some = np.zeros((partitions, 2), dtype=bool)
    for of, chosen in enumerate((disliked(response), liked(response))):
        rows = np.flatnonzero(chosen & (partition >= 0) & known)
        owner = partition[rows]
        count = np.bincount(owner, minlength=partitions)
        share = (1 / (count + SHRINK))[owner].astype(np.float32)
        found[:, of] = sparse.csr_array((share, (owner, place[rows])), shape=(partitions, len(items))) @ vectors
        some[:, of] = count > 0
    return VectorProfiles(view, (found,), some)


def similarity(compared: Sequence[Profiles], start: np.ndarray, end: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """Scalars that compare candidates with the partitions closed before.

    Args:
        compared: profiles of the same Q partitions, a user's by time, in each of V views, at least one.
        start, end: (n,) int64, ranges of partitions.
        candidate: (n,) int64, rows of the catalogue.

    Returns:
        (n, 11 V) float32, `NAMES` of each view: for disliked and liked the mean, the largest, the last and the last
        less the mean of the earlier similarities; liked less disliked weighted by recency, and by likeness; 1 where
        there is no partition.
    """
    found = np.empty((len(start), len(compared) * len(NAMES)), dtype=np.float32)
    order = np.argsort(end, kind="stable")  # samples that see the same partitions become neighbours
    for begin in range(0, len(order), _CHUNK):  # bounded memory
        some = order[begin : begin + _CHUNK]
        found[some] = _scalars(compared, start[some], end[some], candidate[some])
    return found


def _scalars(compared: Sequence[Profiles], start: np.ndarray, end: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """`similarity` of a few samples; arrays are (V, 2, L, n), ranges aligned at their end, until L is summed up."""
    score = np.stack([each.scores(start, end, candidate) for each in compared])
    age = np.arange(score.shape[2])[::-1]  # of the partition at each place, in partitions
    row = end - 1 - age[:, None]
    inside = row >= start
    some = np.stack([each.some.T for each in compared])
    real = some.take(np.where(inside, row, 0), axis=2) & inside  # many times as fast as an index
    count, total = real.sum(axis=2, dtype=np.float32), score.sum(axis=2)
    last, is_last = score[:, :, -1:].sum(axis=2), real[:, :, -1:].sum(axis=2)
    largest = np.where(real, score, -np.inf).max(axis=2, initial=-np.inf)
    balance = score[:, 1] - score[:, 0]
    recency = inside * (0.5 ** (age[:, None] / HALF_LIFE)).astype(np.float32)
    likeness = inside * np.exp(SHARPNESS * score.max(axis=1).clip(min=0))

    found = np.empty((len(compared), len(NAMES), len(start)), dtype=np.float32)
    signed = found[:, :-3].reshape(len(compared), len(SIGNED), -1, len(start))
    signed[:, :, 0] = total / np.maximum(count, 1)
    signed[:, :, 1] = np.where(count > 0, largest, 0)
    signed[:, :, 2] = last
    signed[:, :, 3] = last - (total - last) / np.maximum(count - is_last, 1)
    for place, weight in ((-3, recency), (-2, likeness)):
        found[:, place] = (weight * balance).sum(axis=-2) / np.maximum(weight.sum(axis=-2), 1e-12)
    found[:, -1] = end == start
    return found.reshape(-1, len(start)).T


def _bounds(start: np.ndarray, end: np.ndarray) -> list[int]:
    """Where neighbours of the same range begin, and where the last end."""
    new = np.flatnonzero((start[1:] != start[:-1]) | (end[1:] != end[:-1])) + 1
    return [0, *new.tolist(), len(start)]


def directions(vectors: np.ndarray, fitted_on: np.ndarray) -> np.ndarray:
    """Vectors (C, v) less the mean of the rows `fitted_on`, each of length 1; rows of zeros stay zeros."""
    known = np.abs(vectors).sum(axis=1) > 0
    chosen = fitted_on[known[fitted_on]]
    centre = vectors[chosen].mean(axis=0) if len(chosen) else np.zeros(vectors.shape[1], dtype=vectors.dtype)
    moved = np.where(known[:, None], vectors - centre, 0.0)
    return (moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)).astype(np.float32)
