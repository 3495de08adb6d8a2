"""Does a lift fade, or grow, with the days since a user's exposure? No I/O.

The trend needs sums a day only and treats the days as independent. What lasts of a user shifts all of that user's days
alike and leaves the slope alone, so with the same users at every age its interval is too wide, not too narrow (an exact
one, from each user's own slope, is beside it in the tests and in `python -m tests.bench planted`). Where few users
reach the later ages the lifts of other users are compared, and a difference between early and late arrivals reads as a
trend.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np

from liber_tasks.experiment.effect import LogRatio, normal_quantile
from liber_tasks.experiment.segments import MINIMUM_USERS
from liber_tasks.experiment.statistics import CONFIDENCE


@dataclass(frozen=True)
class AgeSums:
    """One arm's users on one day since their exposure, users without a play as zeros."""

    age: int  # days since exposure; 0: the day itself
    treated: bool
    users: int
    total: float
    squares: float  # sum of the squared per-user values


@dataclass(frozen=True)
class AgeLift:
    """The lift among users on one day since exposure."""

    age: int
    control_users: int
    treatment_users: int
    lift: float | None = None
    lift_low: float | None = None  # 95 % confidence interval
    lift_high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Trend:
    """Relative change of treatment / control a day since exposure: -0.01 is one percent less each day."""

    change: float | None = None
    low: float | None = None  # 95 % confidence interval
    high: float | None = None
    p_value: float | None = None  # two-sided
    reason: str | None = None


def by_age(rows: Iterable[AgeSums], minimum: int = MINIMUM_USERS) -> list[AgeLift]:
    """The lift of every age that has rows, ascending; delta method on the log ratio."""
    return [lift for lift, _ in _ages(rows, minimum)]


def trend(rows: Iterable[AgeSums], minimum: int = MINIMUM_USERS) -> Trend:
    """Regression of the log ratio on age, weighted by 1 / se^2, days taken as independent (see the module)."""
    from scipy.stats import norm

    points = [(lift.age, effect) for lift, effect in _ages(rows, minimum) if effect]
    if len(points) < 3:
        return Trend(reason="Fewer than three days since exposure have a lift: there is no trend to test.")
    ages = np.array([age for age, _ in points], float)
    values = np.array([effect.value for _, effect in points])
    weights = np.array([effect.se for _, effect in points]) ** -2.0
    centred = ages - np.average(ages, weights=weights)
    precision = float(weights @ centred**2)
    slope, se = float(weights @ (centred * values)) / precision, precision**-0.5
    half = normal_quantile((1 + CONFIDENCE) / 2) * se
    return Trend(exp(slope) - 1, exp(slope - half) - 1, exp(slope + half) - 1, 2 * float(norm.sf(abs(slope) / se)))


def _ages(rows: Iterable[AgeSums], minimum: int) -> list[tuple[AgeLift, LogRatio | None]]:
    ages: dict[int, dict[bool, AgeSums]] = {}
    for row in rows:
        ages.setdefault(row.age, {})[row.treated] = row
    return [_age(age, [arms.get(False), arms.get(True)], minimum) for age, arms in sorted(ages.items())]


def _age(age: int, arms: Sequence[AgeSums | None], minimum: int) -> tuple[AgeLift, LogRatio | None]:
    control, treatment = (arm.users if arm else 0 for arm in arms)
    known = [arm for arm in arms if arm]

    def without(reason: str) -> tuple[AgeLift, None]:
        return AgeLift(age, control, treatment, reason=reason), None

    if min(control, treatment) < max(minimum, 2):
        return without(f"An arm has {min(control, treatment)} users on this day: under {minimum} it is not shown.")
    if min(arm.total for arm in known) <= 0:
        return without("No user of one arm played on this day.")
    # variance over squared mean, from sums that cancel to rounding errors where all values are the same
    relative = [(arm.squares * arm.users / arm.total**2 - 1) * arm.users / (arm.users - 1) for arm in known]
    if min(relative) <= 1e-12:
        return without("Every user of an arm has the same value: an interval is undefined.")
    means = [arm.total / arm.users for arm in known]
    effect = LogRatio(log(means[1] / means[0]), sqrt(relative[0] / control + relative[1] / treatment))
    low, high = effect.interval(normal_quantile((1 + CONFIDENCE) / 2))
    return AgeLift(age, control, treatment, means[1] / means[0] - 1, low, high), effect
