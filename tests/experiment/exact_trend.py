"""The trend of a lift from each user's own slope: the exact reference for large samples.

How the days of one user hang together does not matter to it; it needs users with every day observed.
"""

from math import exp, sqrt

from scipy.stats import t
from tea_tasting.aggr import Aggregates

from liber_tasks.experiment.novelty import Trend
from liber_tasks.experiment.statistics import CONFIDENCE


def trend_by_user(control: Aggregates, treatment: Aggregates) -> Trend:
    """Difference between the arms of mean slope over mean level, by the delta method and Welch's t.

    Args:
        control, treatment: count, means, variances and covariance of the columns `level` (a user's mean a day) and
            `slope` (sum of (age - mean age) * value over the sum of (age - mean age)^2) of users observed at every age.
    """
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
    return Trend(
        exp(slope) - 1, exp(slope - half) - 1, exp(slope + half) - 1, 2 * float(t.sf(abs(slope) / se, freedom))
    )
