"""Intervals that stay honest when an experiment is looked at before its end. No I/O.

Planned looks, fixed before the start, get one max-|t| boundary over all of them: c_k = C * (t_k / t_K)^(-1/4) (Wang
and Tsiatis, Biometrics 1987, their Delta = 1/4), with C such that |Z_k| stays below c_k at every look with probability
1 - alpha. A constant boundary (Delta = 1/2) would be 1.27 times as wide as the fixed-sample interval at the last of
seven looks, and 1.39 of 28; O'Brien and Fleming's (Delta = 0) shows nothing in the first days. Delta = 1/4 is 1.15 to
1.22 times as wide at the end, and 1.9 to 2.8 times on the first day.

The boundary assumes corr(Z_j, Z_k) = t_j / t_k for looks at times t_j < t_k: users arrive evenly over the experiment
and each user-day brings independent noise. Everything else that is usual correlates looks more, and so crosses less:
users exposed on the first day (at least sqrt(t_j / t_k)), and differences between users that last. CUPED takes the
latter away and comes near to the assumption, which is why sqrt(t_j / t_k), right for a fixed population, is not used.
`python -m tests.bench planted` measures it.

A look that was missed changes nothing. A look that was not planned takes the confidence sequence instead
(`anytime_critical`); whoever reads both at will spends both error rates.
"""

from collections.abc import Sequence
from math import log, sqrt

import numpy as np

from liber_tasks.errors import InputError
from liber_tasks.experiment.statistics import CONFIDENCE

DELTA = 0.25
CLOSEST = 0.005  # of the experiment's time between two looks: the integrals below hold for these
_NODES = 128  # of the Gauss-Legendre rule


def planned_critical(fractions: Sequence[float], alpha: float = 1 - CONFIDENCE) -> np.ndarray:
    """Critical |Z| of each planned look (float64, one a fraction).

    Args:
        fractions: when each look is planned, as a share of the experiment's time, ascending, above 0, at most 1.
        alpha: probability that a true null is rejected at any of the looks.

    Raises:
        InputError: the fractions do not ascend within (0, 1], two are closer than `CLOSEST`, or alpha is not within
            (0, 1).
    """
    from scipy.optimize import brentq

    times = _checked(fractions)
    _check_alpha(alpha)
    shape = (times / times[-1]) ** (DELTA - 0.5)
    factor = float(brentq(lambda c: _crossing(c * shape, times) - alpha, *_bracket(alpha, len(times)), xtol=1e-6))
    return factor * shape


def anytime_critical(information: float, planned: float, alpha: float = 1 - CONFIDENCE) -> float:
    """Critical |Z| of a look that was not planned: an asymptotic confidence sequence, valid at all looks together.

    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Time-uniform central limit theory and asymptotic confidence
    sequences (Annals of Statistics 2024), Theorem 2.2, in units of the standard error; tuned as in their appendix so
    that it is tightest at `planned`: 1.55 times the fixed-sample interval there at alpha = 0.05.

    Args:
        information: exposed user-days so far (of user-days so far, each user counted from the day of exposure).
        planned: the same at the planned end; decided before the start, it changes the width, never the validity.
        alpha: probability that a true null is rejected at any time.

    Raises:
        InputError: information or planned is not positive, or alpha is not within (0, 1).
    """
    from scipy.special import lambertw

    _check_alpha(alpha)
    if not (information > 0 and planned > 0):
        raise InputError(f"information is {information}, planned is {planned}: both must be positive.")
    best = -float(lambertw(-(alpha**2) / np.e, -1).real) - 1  # n rho^2 where the sequence is tightest
    scaled = best * information / planned
    return sqrt((1 + 1 / scaled) * (log(1 + scaled) - 2 * log(alpha)))


def _crossing(critical: np.ndarray, times: np.ndarray) -> float:
    """Probability that |Z_k| >= critical_k at any look: Z is a Markov chain, so one integral a look is enough.

    Armitage, McPherson and Rowe, Journal of the Royal Statistical Society A 1969.
    """
    from scipy.stats import norm

    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    place = critical[0] * nodes
    mass = critical[0] * weights * norm.pdf(place)  # of Z_k at the nodes, where no look has crossed yet
    for k in range(1, len(times)):
        correlation = times[k - 1] / times[k]
        spread = sqrt(1 - correlation**2)
        following = critical[k] * nodes
        density = norm.pdf((following[:, None] - correlation * place) / spread) / spread
        place, mass = following, critical[k] * weights * (density @ mass)
    return 1 - float(mass.sum())


def _bracket(alpha: float, looks: int) -> tuple[float, float]:
    """Between one look and Bonferroni's."""
    from scipy.stats import norm

    return float(norm.isf(alpha / 2)) - 1e-3, float(norm.isf(alpha / 2 / looks)) + 1e-3


def _checked(fractions: Sequence[float]) -> np.ndarray:
    times = np.asarray(fractions, float)
    if times.ndim != 1 or len(times) == 0 or not (times[0] > 0 and times[-1] <= 1 and (np.diff(times) > 0).all()):
        raise InputError(f"fractions are {list(fractions)}: planned looks ascend, above 0 and at most 1.")
    if (np.diff(times) < CLOSEST * (1 - 1e-9)).any():
        raise InputError(f"Two planned looks are closer than {CLOSEST:.1%} of the experiment: plan fewer.")
    return times


def _check_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha}: must lie between 0 and 1.")
