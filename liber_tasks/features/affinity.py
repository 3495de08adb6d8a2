"""Item-item affinity: how those who rated an item of the history rated the candidate."""

import numpy as np
from scipy import sparse

from liber_tasks.features.ranges import flat, largest, mean, total
from liber_tasks.features.responses import liked, rated, stars
from liber_tasks.features.snapshot import Snapshot
from liber_tasks.features.statistics import USUAL, deviation

NAMES = (
    "affinity_liked", "affinity_disliked", "affinity_evidence", "affinity_largest", "affinity_smallest",
    "affinity_regression", "affinity_correlation",
)  # fmt: skip
PRIOR_PAIR = 10.0  # ratings of the candidate by anybody that are added to a pair's own
PRIOR_SQUARE = 20.0  # square stars, or users, that are added to a pair's own: it rests on few ratings
_WORTH_DENSE = 48  # numbers written for each one read: a request's few rows are read many times, once a candidate


def affinity(
    snapshot: Snapshot, item: np.ndarray, response: np.ndarray, start: np.ndarray, end: np.ndarray,
    candidate: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Scalars of samples that share a snapshot.

    For a behaviour h of the history and candidate c, q(h, c) is the share that liked c among the users who liked
    (disliked) h as this user did and rated c, shrunk towards the share p(c) that liked c at all. With surprises (see
    `snapshot.snapshots`) it is the regression of one rating on another (Sarwar et al., WWW 2001, section 3.2).

    Args:
        snapshot: of a moment not after any of the samples.
        item, response: (N,) int64 of behaviours; one without a rating takes no part.
        start, end: (n,) int64, each sample's history among the behaviours.
        candidate: (n,) int64, rows of the catalogue.

    Returns:
        (n, 7) float32, `NAMES`: mean of q - p over liked behaviours, over disliked ones; sum over all of
        logit q - logit p, divided by the root of their number; largest and smallest q - p; sum over all of the
        surprise at h times its regression coefficient on c, divided by the root of their number; mean surprise
        weighted by correlation with c. 0 without a rated history.
    """
    owner, row = flat(start, end)
    real = rated(response[row])
    owner, row = owner[real], row[real]
    n, h, c = len(start), item[row], candidate[owner]
    count = np.sqrt(np.maximum(np.bincount(owner, minlength=n), 1))
    positive = liked(response[row])
    support = np.where(positive, _at(snapshot.with_liked, h, c), _at(snapshot.with_disliked, h, c))
    agreed = np.where(positive, _at(snapshot.liked_with_liked, h, c), _at(snapshot.liked_with_disliked, h, c))
    p = snapshot.like_share(c)
    q = (agreed + PRIOR_PAIR * p) / (support + PRIOR_PAIR)
    lift = q - p
    evidence = np.log(q / (1 - q)) - np.log(p / (1 - p))

    usual = deviation(snapshot, response, item, start, end, USUAL)
    surprise = stars(response[row]) - snapshot.mean() - snapshot.deviation(h) - usual[owner]
    product, square = _at(snapshot.products, h, c), _at(snapshot.squares, h, c)
    both = _at(snapshot.with_liked, h, c) + _at(snapshot.with_disliked, h, c)
    norm = np.sqrt(square * _at(snapshot.squares, c, h))
    weight = np.divide(product, norm, out=np.zeros(len(row)), where=norm > 0) * both / (both + PRIOR_SQUARE)
    return np.stack(
        [
            mean(owner[positive], lift[positive], n),
            mean(owner[~positive], lift[~positive], n),
            total(owner, evidence, n) / count,
            largest(owner, lift, n),
            -largest(owner, -lift, n),
            total(owner, product / (square + PRIOR_SQUARE) * surprise, n) / count,
            total(owner, weight * surprise, n) / (total(owner, np.abs(weight), n) + 1),
        ],
        axis=1,
    ).astype(np.float32)


def _at(matrix: sparse.csr_array, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Entries of a sparse matrix at pairs, (n,) float64."""
    if not len(row):
        return np.zeros(0)
    present = np.zeros(matrix.shape[0], dtype=bool)
    present[row] = True
    distinct = np.flatnonzero(present)
    if len(distinct) * matrix.shape[1] > _WORTH_DENSE * len(row):
        return np.asarray(matrix[row, column]).ravel()
    return matrix[distinct].toarray()[(np.cumsum(present) - 1)[row], column]
