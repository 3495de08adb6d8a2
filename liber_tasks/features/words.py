"""Partition profiles that can be read: the few words that tell what was liked in a partition from what was disliked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from liber_tasks.features.profile import SHRINK
from liber_tasks.features.ranges import flat
from liber_tasks.features.responses import disliked, liked

WORDS_KEPT = 30  # of a partition


@dataclass(frozen=True)
class WordProfiles:
    """Profiles by words.

    Attributes:
        view: (C, t) float32, weights of the words of items; rows of length 1, or empty.
        words: (2 Q, t) float32, non-negative: row 2 q has the words of what was disliked in partition q, row 2 q + 1 of
            what was liked.
        some: as in `features.profile.Profiles`.
    """

    view: sparse.csr_array
    words: sparse.csr_array
    some: np.ndarray

    def scores(self, start: np.ndarray, end: np.ndarray, item: np.ndarray) -> np.ndarray:
        """As in `Profiles`: weights of the words that both have, multiplied and summed."""
        owner, row = flat(start, end)
        longest = int((end - start).max(initial=0))
        place, of = row - end[owner] + longest, self.view[item[owner]]
        found = np.zeros((2, longest, len(item)), dtype=np.float32)
        for sign in (0, 1):
            found[sign, place, owner] = (self.words[2 * row + sign] * of).sum(axis=1)
        return found

    def part(self, start: int, end: int) -> "WordProfiles":
        """Of some of the partitions, in memory of their own."""
        return WordProfiles(self.view, self.words[2 * start : 2 * end], self.some[start:end].copy())

    def joined(self, others: Sequence["WordProfiles"]) -> "WordProfiles":
        """Of these partitions, then those of others in the same view."""
        if not others:
            return self
        every = (self, *others)
        words = sparse.vstack([each.words for each in every], format="csr")
        return WordProfiles(self.view, words, np.concatenate([each.some for each in every]))


def word_profiles(
    view: sparse.csr_array,
    item: np.ndarray,
    response: np.ndarray,
    partition: np.ndarray,
    partitions: int,
    kept: int = WORDS_KEPT,
) -> WordProfiles:
    """The words with the greatest difference between liked and disliked items of each partition.

    The difference is one of shrunk means; arguments as in `features.profile.profiles`.

    Args:
        kept: words of a partition, at most.
    """
    said = np.diff(view.indptr) > 0
    of = np.zeros((partitions, 2), dtype=np.int64)
    means = []
    for sign, chosen in enumerate((disliked(response), liked(response))):
        rows = np.flatnonzero(chosen & (partition >= 0) & said[item])
        of[:, sign] = np.bincount(partition[rows], minlength=partitions)
        weight = 1 / (of[partition[rows], sign] + SHRINK)
        sums = sparse.csr_array((weight, (partition[rows], item[rows])), shape=(partitions, view.shape[0]))
        means.append(sums @ view)
    return WordProfiles(view, _strongest(sparse.csr_array(means[1] - means[0]), kept), of > 0)


def _strongest(difference: sparse.csr_array, most: int) -> sparse.csr_array:
    """Of each row (Q, t) the entries of greatest size, the negative ones as a row of their own before: (2 Q, t)."""
    row = np.repeat(np.arange(difference.shape[0]), np.diff(difference.indptr))
    order = np.lexsort((difference.indices, -np.abs(difference.data), row))
    place = np.arange(len(order)) - difference.indptr[row[order]]
    chosen = order[place < most]
    values = difference.data[chosen]
    rows = 2 * row[chosen] + (values > 0)
    shape = (2 * difference.shape[0], difference.shape[1])
    found = sparse.csr_array((np.abs(values).astype(np.float32), (rows, difference.indices[chosen])), shape=shape)
    found.eliminate_zeros()
    return found
