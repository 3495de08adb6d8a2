"""How many partitions users have after some days: what sealing by count makes of unequal users."""

import math

import numpy as np
from scipy.stats import nbinom

SUMMED = 2_000  # partitions of a user that are counted one by one; beyond, a user's mean is as good


def partitions(mean: float, k: int, spread: float) -> tuple[float, float]:
    """Partitions sealed by count, a user.

    A user's number N of behaviours is Poisson about a mean that differs between users by a gamma law of shape `spread`,
    so N is negative binomial. Sealing leaves floor(N / K) partitions (paper, Eq. 1: a cache is full at K), whose mean
    is the sum over j of P(N >= jK).

    Args:
        mean: behaviours a user so far.
        k: behaviours of a partition.
        spread: shape of the gamma law, > 0.

    Returns:
        Mean partitions a user, and the share of users with one at least (who have no shift for P_1).
    """
    if mean <= 0:
        return 0.0, 0.0
    chance = spread / (spread + mean)
    most = math.ceil(nbinom.isf(1e-9, spread, chance) / k) + 1
    if most > SUMMED:  # floor() costs half a partition on average
        return max(mean / k - (k - 1) / (2 * k), 0.0), float(nbinom.sf(k - 1, spread, chance))
    reached = nbinom.sf(np.arange(1, most + 1) * k - 1, spread, chance)
    return float(reached.sum()), float(reached[0])
