"""Lift by days since exposure, and whether it fades."""

import numpy as np
import pytest

from liber_tasks.experiment.novelty import AgeSums, Trend, by_age, trend
from tests.experiment.arrays import aggregates, days, delta_interval
from tests.experiment.exact_trend import trend_by_user

AGES = np.arange(7)


def plays(users: int, seed: int, lift: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Plays a user and day since exposure, (users, 7), everybody exposed on the first day; and who is treated."""
    treated = np.arange(users) % 2 == 1
    return days(treated, np.random.default_rng(seed), lift, lift)[0][:, 7:], treated


def sums(values: np.ndarray, treated: np.ndarray) -> list[AgeSums]:
    return [
        AgeSums(age, arm, int((treated == arm).sum()), float(day.sum()), float((day**2).sum()))
        for age in range(values.shape[1]) for arm in (False, True) for day in [values[treated == arm, age]]
    ]  # fmt: skip


def by_user(values: np.ndarray, treated: np.ndarray) -> Trend:
    centred = AGES - AGES.mean()
    columns = {"level": values.mean(1), "slope": values @ centred / (centred @ centred)}
    return trend_by_user(aggregates(columns, ~treated), aggregates(columns, treated))


def test_each_day_has_the_delta_methods_lift() -> None:
    values, treated = plays(4_000, 1, 0.1)
    found = by_age(sums(values, treated))
    assert [one.age for one in found] == list(AGES)
    for one, day in zip(found, values.T, strict=True):
        value, se = delta_interval(day, treated)
        assert one.reason is None
        got = np.log1p([one.lift, one.lift_low, one.lift_high])
        assert got == pytest.approx([value, value - 1.96 * se, value + 1.96 * se], abs=0.02 * 1.96 * se)


def test_a_lift_that_fades_is_found_both_ways_and_a_lasting_one_is_not() -> None:
    fading, treated = plays(40_000, 2, 0.6 * 0.7**AGES)
    lasting, _ = plays(40_000, 2, 0.2)
    for test in (lambda v: trend(sums(v, treated)), lambda v: by_user(v, treated)):
        found, none = test(fading), test(lasting)
        assert found.p_value < 0.001
        assert found.high < 0
        assert none.low < 0 < none.high


def test_the_trend_by_user_is_the_weighted_slope_by_hand() -> None:
    values, treated = plays(3_000, 3, 0.1)
    found = by_user(values, treated)
    centred = AGES - AGES.mean()
    parts = []
    for arm in (False, True):
        rows = values[treated == arm]
        slope, level = rows @ centred / (centred @ centred), rows.mean(1)
        ratio = slope.mean() / level.mean()
        parts.append((ratio, ((slope - ratio * level) / level.mean()).var(ddof=1) / len(rows)))
    change, se = parts[1][0] - parts[0][0], (parts[0][1] + parts[1][1]) ** 0.5
    assert np.log1p(found.change) == pytest.approx(change, abs=1e-9)
    assert np.log1p([found.low, found.high]) == pytest.approx([change - 1.96 * se, change + 1.96 * se], abs=0.04 * se)


def test_days_taken_as_independent_make_the_interval_too_wide_not_too_narrow() -> None:
    values, treated = plays(4_000, 4, 0.0)
    independent, exact = trend(sums(values, treated)), by_user(values, treated)
    assert independent.high - independent.low > exact.high - exact.low


def test_degenerate_days_give_reasons() -> None:
    good, treated = plays(1_000, 5, 0.0)
    rows = sums(good, treated)
    rows[0] = AgeSums(0, False, 3, 2.0, 2.0)
    rows[2] = AgeSums(1, False, 500, 0.0, 0.0)
    rows[4] = AgeSums(2, False, 500, 500 * 0.1, 500 * 0.1**2)
    del rows[6]
    found = by_age(rows)
    for one, why in zip(found, ["3 users", "No user", "same value", "0 users"], strict=False):
        assert (one.lift, one.lift_low, one.lift_high) == (None, None, None)
        assert why in (one.reason or "")
    assert trend(rows).p_value is not None  # three days are left
    assert "there is no trend" in (trend(rows[:7]).reason or "")
    assert trend([]).reason
    flat = {"level": np.ones(10), "slope": np.zeros(10)}
    assert by_user(np.zeros((10, 7)), np.arange(10) % 2 == 1).reason
    assert "alike" in (
        trend_by_user(aggregates(flat, np.arange(10) < 5), aggregates(flat, np.arange(10) >= 5)).reason or ""
    )
