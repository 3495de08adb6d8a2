"""The readout's estimators for many comparisons at once, as array operations. No I/O.

The formulas are those of `statistics.analyse` (tea-tasting: Welch's t, delta method, CUPED with one coefficient for
both arms), which looks at one comparison at a time; a test holds the two together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from liber_tasks.experiment.statistics import CONFIDENCE, Definition, pre

EQUAL = 1e-12  # a variance of so small a share of the squared mean is rounding: all users have the same value


@dataclass(frozen=True)
class Moments:
    """Of one arm's c columns in each of s comparisons."""

    users: np.ndarray  # (s,) float64
    mean: np.ndarray  # (s, c) float64
    covariance: np.ndarray  # (s, c, c) float64, of the sample

    def __add__(self, other: "Moments") -> "Moments":
        """Moments of both arms' users together."""
        users = self.users + other.users
        gap = self.mean - other.mean
        between = gap[:, :, None] * gap[:, None, :] * _wide(self.users * other.users / users)
        within = self.covariance * _wide(self.users - 1) + other.covariance * _wide(other.users - 1)
        mean = (self.mean * self.users[:, None] + other.mean * other.users[:, None]) / users[:, None]
        return Moments(users, mean, (within + between) / _wide(users - 1))


@dataclass(frozen=True)
class Lifts:
    """One metric by one estimator in s comparisons; NaN where it is undefined. Arrays (s,) float64."""

    log_ratio: np.ndarray  # log(treatment / control)
    half: np.ndarray  # half-width of the 95 % interval around it
    p_value: np.ndarray  # two-sided Welch's t of the difference


class Products:
    """Per-user columns and their products, so that one matrix product gives the sums of any split of the users."""

    def __init__(self, columns: Sequence[np.ndarray]) -> None:
        """Take c columns, (n,) each, of both arms' users."""
        values = np.column_stack([np.asarray(column, float) for column in columns])
        self.centre = values.mean(0)  # sums of squares around it lose no digits
        values = values - self.centre
        self.pairs = np.triu_indices(values.shape[1])
        ones = np.ones(len(values))
        self.matrix = np.column_stack([ones, values, values[:, self.pairs[0]] * values[:, self.pairs[1]]])

    def moments(self, treated: np.ndarray) -> tuple[Moments, Moments]:
        """Of the control and the treatment arm in each split; `treated` is bool (s, n)."""
        sums = treated.astype(float) @ self.matrix
        return self._arm(self.matrix.sum(0) - sums), self._arm(sums)

    def _arm(self, sums: np.ndarray) -> Moments:
        c = len(self.centre)
        users, products = sums[:, 0], np.empty((len(sums), c, c))
        products[:, self.pairs[0], self.pairs[1]] = products[:, self.pairs[1], self.pairs[0]] = sums[:, 1 + c :]
        with np.errstate(divide="ignore", invalid="ignore"):  # a split may leave an arm empty: NaN
            mean = sums[:, 1 : 1 + c] / sums[:, :1]
            within = products - _wide(users) * mean[:, :, None] * mean[:, None, :]
            return Moments(users, mean + self.centre, within / _wide(users - 1))


def compare(
    definition: Definition, names: Sequence[str], control: Moments, treatment: Moments, adjusted: bool
) -> Lifts:
    """Lift of a metric in every comparison.

    Args:
        definition: names the columns.
        names: of the moments' columns.
        control, treatment: of the same comparisons.
        adjusted: CUPED by the same metric in the pre-period.
    """
    from scipy.stats import t

    place, before = _places(definition, names), _places(definition, names, pre)
    with np.errstate(divide="ignore", invalid="ignore"):
        theta = centre = np.zeros(len(control.users))
        if adjusted:
            total = control + treatment
            y, x = _gradient(total.mean, *place), _gradient(total.mean, *before)
            centre, spread = _ratio(total.mean, *before), _product(x, total.covariance, x)
            theta = _product(x, total.covariance, y) / np.where(spread > EQUAL * centre**2, spread, np.nan)
        level, variance = [], []
        for arm in (control, treatment):
            shift = theta * (_ratio(arm.mean, *before) - centre) if adjusted else 0.0
            level.append(_ratio(arm.mean, *place) - shift)
            slope = _gradient(arm.mean, *place)
            if adjusted:
                slope = slope - theta[:, None] * _gradient(arm.mean, *before)
            variance.append(_product(slope, arm.covariance, slope) / arm.users)
        counts = (control.users, treatment.users)
        scale, freedom = _welch(variance, counts)
        log_scale, log_freedom = _welch([v / m**2 for v, m in zip(variance, level, strict=True)], counts)
        ok = (np.minimum(*level) > 0) & (np.minimum(*variance) > EQUAL * np.maximum(*level) ** 2 / np.maximum(*counts))
        log_ratio = np.log(np.where(ok, level[1] / level[0], np.nan))
        half = np.where(ok, t.ppf((1 + CONFIDENCE) / 2, log_freedom) * log_scale, np.nan)
        p_value = np.where(ok, 2 * t.sf(np.abs(level[1] - level[0]) / scale, freedom), np.nan)
    return Lifts(log_ratio, half, p_value)


def _welch(squares: Sequence[np.ndarray], counts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Standard error and degrees of freedom of a difference, from the arms' squared standard errors."""
    whole = squares[0] + squares[1]
    return np.sqrt(whole), whole**2 / sum(s**2 / (n - 1) for s, n in zip(squares, counts, strict=True))


def _ratio(mean: np.ndarray, numerator: int, denominator: int | None) -> np.ndarray:
    return mean[:, numerator] if denominator is None else mean[:, numerator] / mean[:, denominator]


def _gradient(mean: np.ndarray, numerator: int, denominator: int | None) -> np.ndarray:
    """Of the ratio by the column means, (s, c)."""
    slope = np.zeros_like(mean)
    slope[:, numerator] = 1.0 if denominator is None else 1 / mean[:, denominator]
    if denominator is not None:
        slope[:, denominator] = -mean[:, numerator] / mean[:, denominator] ** 2
    return slope


def _product(left: np.ndarray, matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.einsum("sc,scd,sd->s", left, matrix, right)


def _places(definition: Definition, names: Sequence[str], named: Callable[[str], str] = str) -> tuple[int, int | None]:
    """Which columns are the numerator and the denominator."""
    bottom = None if definition.denominator is None else names.index(named(definition.denominator))
    return names.index(named(definition.numerator)), bottom


def _wide(values: np.ndarray) -> np.ndarray:
    return values[:, None, None]
