"""Does a lift fade, or grow, with the days since a user's exposure? No I/O.

A trend is tested in two ways. `trend_by_user` is exact for large samples: each user's own slope and level are one
observation, so how the days of one user hang together does not matter; it needs users with every day observed.
`trend` needs sums a day only and treats the days as independent. What lasts of a user shifts all of that user's days
alike and leaves the slope alone, so with the same users at every age its interval is too wide, not too narrow. Where
few users reach the later ages the lifts of other users are compared, and a difference between early and late arrivals
reads as a trend.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import TYPE_CHECKING

import numpy as np

from liber_tasks.experiment.effect import LogRatio, normal_quantile
from liber_tasks.experiment.segments import MINIMUM_USERS
from liber_tasks.experiment.statistics import CONFIDENCE

if TYPE_CHECKING:
    from tea_tasting.aggr import Aggregates


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
    return _relative(slope, normal_quantile((1 + CONFIDENCE) / 2) * se, 2 * float(norm.sf(abs(slope) / se)))


def trend_by_user(control: "Aggregates", treatment: "Aggregates") -> Trend:
    """Difference between the arms of mean slope over mean level, by the delta method and Welch's t.

    Args:
        control, treatment: count, means, variances and covariance of the columns `level` (a user's mean a day) and
            `slope` (sum of (age - mean age) * value over the sum of (age - mean age)^2) of users observed at every age.
    """
    from scipy.stats import t

    arms = (control, treatment)
    if min(arm.count() for arm in arms) < 2 or min(arm.mean("level") for arm in arms) <= 0:
        return Trend(reason="An arm has fewer than two users or no play: there is no trend to test.")
    squares = [float(arm.ratio_var("slope", "level")) / arm.count() for arm in arms]
    if min(squares) <= 0:
        return Trend(reason="Every user of an arm changes alike: an interval is undefined.")
    slope = float(treatment.mean("slope") / treatment.mean("level") - control.mean("slope") / control.mean("level"))
    se = sqrt(sum(squares))
    freedom = se**4 / sum(square**2 / (arm.count() - 1) for square, arm in zip(squares, arms, strict=True))
    half = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * se
    return _relative(slope, half, 2 * float(t.sf(abs(slope) / se, freedom)))


def _relative(slope: float, half: float, p_value: float) -> Trend:
    return Trend(exp(slope) - 1, exp(slope - half) - 1, exp(slope + half) - 1, p_value)


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
