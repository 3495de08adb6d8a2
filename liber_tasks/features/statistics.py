"""How users rate and how items are rated: what the simplest rater's rule knows."""

import numpy as np

from liber_tasks.features.ranges import flat, total
from liber_tasks.features.responses import liked, rated, stars
from liber_tasks.features.snapshot import Snapshot

NAMES = ("user_liked", "user_rated", "user_recent", "user_usual", "item_liked", "item_rated", "item_mean")
PRIOR_USER = 3.0  # ratings of the average user that are added to a user's own
RECENT, USUAL = 5.0, 50.0  # half-lives of a rating's weight, in behaviours


def statistics(
    snapshot: Snapshot, response: np.ndarray, item: np.ndarray, start: np.ndarray, end: np.ndarray,
    candidate: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Scalars of samples that share a snapshot; arguments as in `affinity.affinity`.

    Returns:
        (n, 7) float32, `NAMES`: share of the history that was liked, shrunk; log(1 + rated behaviours); mean deviation,
        of recent and of all ratings, from the items' means in stars, shrunk; share of the candidate's ratings that
        liked it, shrunk; log(1 + its ratings); its mean's deviation from the mean of all, shrunk.
    """
    n = len(start)
    owner, row = flat(start, end)
    positive = total(owner, liked(response[row]).astype(float), n)
    count = total(owner, rated(response[row]).astype(float), n)
    overall = (snapshot.liked.sum() + 1) / (snapshot.rated.sum() + 2)
    columns = [
        (positive + PRIOR_USER * overall) / (count + PRIOR_USER),
        np.log1p(count),
        deviation(snapshot, response, item, start, end, RECENT),
        deviation(snapshot, response, item, start, end, USUAL),
        snapshot.like_share(candidate),
        np.log1p(snapshot.rated[candidate]),
        snapshot.deviation(candidate),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def deviation(
    snapshot: Snapshot, response: np.ndarray, item: np.ndarray, start: np.ndarray, end: np.ndarray, half_life: float
) -> np.ndarray:
    """How much better than others a user rates, (n,) float64 in stars: mean of rating less the item's mean.

    A rating `half_life` behaviours older than another weighs half as much; `PRIOR_USER` ratings without deviation are
    added.
    """
    owner, row = flat(start, end)
    real = rated(response[row])
    owner, row = owner[real], row[real]
    weight = 0.5 ** ((end[owner] - 1 - row) / half_life)
    values = stars(response[row]) - snapshot.mean() - snapshot.deviation(item[row])
    n = len(start)
    return total(owner, weight * values, n) / (total(owner, weight, n) + PRIOR_USER)
