"""How sure an AUC difference is when other users might have been tested. Pure functions."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

CELLS = 4_000_000  # numbers held at once: bounds the memory, whatever the rows and users


class Interval(NamedTuple):
    """An AUC difference and its 95 % interval over draws of users.

    Attributes:
        mean: difference on the rows at hand, averaged over seeds.
        low: 2.5 % percentile of the same over draws.
        high: 97.5 % percentile.
    """

    mean: float
    low: float
    high: float


def user_bootstrap(
    label: np.ndarray, user: np.ndarray, treated: np.ndarray, base: np.ndarray, draws: int = 2000, seed: int = 0
) -> Interval | None:
    """Percentile interval of AUC(treated) - AUC(base), averaged over seeds, when users are drawn with replacement.

    All rows of a user come and go together: rows of one user are not independent, and it is users that a new test set
    would change (Field and Welsh 2007, "Bootstrapping clustered data": the cluster bootstrap). Seeds are not drawn.

    The numerator of an AUC counts (positive, negative) pairs in the right order, a tie as half. Summed by the users of
    both rows it is a matrix A (U, U), and a draw that takes user u w_u times has the AUC w'Aw / (w'p w'n), p and n
    being positives and negatives by user. One matrix, the mean over seeds of A(treated) - A(base), gives every draw.
    All counts are whole numbers, so the order of rows changes nothing at all.

    Args:
        label: (n,) 0 or 1.
        user: (n,) integers or text; whose row it is.
        treated: (S, n) scores, one row a seed.
        base: (S, n) scores of the same seeds.
        draws: how often users are drawn; a draw with one class only has no AUC and is left out.
        seed: of the draws.

    Returns:
        The interval; None when the rows have one class only, or no draw has two.

    Raises:
        ValueError: the shapes do not fit together.
    """
    label, treated, base = np.asarray(label) > 0, np.atleast_2d(treated), np.atleast_2d(base)
    if treated.shape != base.shape or treated.shape[1:] != label.shape or label.shape != np.shape(user):
        raise ValueError(
            f"label {label.shape}, user {np.shape(user)}, treated {treated.shape} and base {base.shape}: "
            "treated and base must be (seeds, rows), label and user (rows,)."
        )
    if label.all() or not label.any():
        return None
    names, row = np.unique(user, return_inverse=True)
    users, seeds = len(names), len(treated)
    positives = np.bincount(row[label], minlength=users).astype(float)
    negatives = np.bincount(row[~label], minlength=users).astype(float)
    weight = np.random.default_rng(seed).multinomial(users, np.full(users, 1 / users), size=draws).astype(float)
    weight = np.concatenate([np.ones((1, users)), weight])  # the first is the rows at hand
    ordered = np.zeros(len(weight))
    signed = [(_Ranked(row, label, score, users), 1) for score in treated]
    signed += [(_Ranked(row, label, score, users), -1) for score in base]
    step = max(1, CELLS // max(users, *(ranked.values for ranked, _ in signed)))
    for start in range(0, users, step):
        block = slice(start, min(start + step, users))
        difference = sum(sign * ranked.pairs(block) for ranked, sign in signed)
        ordered += ((weight @ difference) * weight[:, block]).sum(axis=1)
    pairs = (weight @ positives) * (weight @ negatives)
    drawn = ordered[1:][pairs[1:] > 0] / (2 * seeds * pairs[1:][pairs[1:] > 0])
    if not len(drawn):
        return None
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(ordered[0] / (2 * seeds * pairs[0])), float(low), float(high))


class _Ranked:
    """One model's rows by user and rank of the score."""

    def __init__(self, row: np.ndarray, label: np.ndarray, score: np.ndarray, users: int) -> None:
        _, rank = np.unique(score, return_inverse=True)
        self.values = int(rank.max()) + 1
        ones = np.ones(len(row))
        self._positive = sparse.csr_array(
            (ones[label], (row[label], rank[label])), shape=(users, self.values)
        )  # sums duplicates
        self._negative = sparse.csc_array((ones[~label], (rank[~label], row[~label])), shape=(self.values, users))

    def pairs(self, block: slice) -> np.ndarray:
        """(U, block): twice the pairs of a positive of u ranked above a negative of v; a tie counts once."""
        here = self._negative[:, block].toarray()
        return np.asarray(self._positive @ (2 * here.cumsum(axis=0) - here))
