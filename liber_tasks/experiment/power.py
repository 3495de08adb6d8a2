"""Before an experiment: how many users a lift needs, and which lift given users can show. No I/O.

The closed form for a two-sided z-test of two means with the same variance (Deng et al., WSDM 2013, section 3, for the
factor 1 - correlation^2 that CUPED leaves): with shares c and t of n users,
n = (z(1 - alpha / 2) + z(power))^2 * variance * (1 / c + 1 / t) / (mean * effect)^2.
"""

from dataclasses import dataclass
from math import ceil, sqrt

from liber_tasks.errors import InputError
from liber_tasks.experiment.effect import normal_quantile
from liber_tasks.experiment.statistics import CONFIDENCE, POWER


@dataclass(frozen=True)
class History:
    """What past users say about a metric summed over `days`; for a ratio, of its linearised per-user value."""

    days: int
    users: int  # eligible users seen within so many days, all of whom an experiment could expose
    mean: float
    variance: float  # between users
    correlation: float = 0.0  # with the same users' pre-period; 0 plans without CUPED


def needed_users(history: History, effect: float, control_share: float, treatment_share: float) -> tuple[int, int]:
    """Users of the control and the treatment arm that show a relative effect with 80 % power at 5 %.

    Raises:
        InputError: the effect is zero, a share is out of range, or the history has no play or no variance.
    """
    _check(history, control_share, treatment_share)
    if not effect:
        raise InputError("The effect to detect is 0: give the smallest relative lift that would matter.")
    whole = control_share + treatment_share
    spread = _quantiles() ** 2 * _relative_variance(history) / effect**2
    total = spread * (whole / control_share + whole / treatment_share)
    return max(2, ceil(total * control_share / whole)), max(2, ceil(total * treatment_share / whole))


def detectable_effect(history: History, control_users: int, treatment_users: int) -> float:
    """Relative effect, > 0, that so many users show with 80 % power at 5 %.

    Raises:
        InputError: an arm has fewer than 2 users, or the history has no play or no variance.
    """
    _check(history, 0.5, 0.5)
    if min(control_users, treatment_users) < 2:
        raise InputError(f"The arms have {control_users} and {treatment_users} users: a comparison needs at least 2.")
    return _quantiles() * sqrt(_relative_variance(history) * (1 / control_users + 1 / treatment_users))


def _quantiles() -> float:
    return normal_quantile((1 + CONFIDENCE) / 2) + normal_quantile(POWER)


def _relative_variance(history: History) -> float:
    return history.variance * (1 - history.correlation**2) / history.mean**2


def _check(history: History, control_share: float, treatment_share: float) -> None:
    if not (history.mean > 0 and history.variance > 0 and abs(history.correlation) < 1):
        raise InputError(
            f"The history of {history.days} days has mean {history.mean}, variance {history.variance} and correlation "
            f"{history.correlation}: planning needs positive ones and a correlation below 1."
        )
    if not (min(control_share, treatment_share) > 0 and control_share + treatment_share <= 1):
        raise InputError(
            f"The shares are {control_share} and {treatment_share}: each must be positive, both together at most 1."
        )
