"""Bands that may be looked at on any planned day, and any day at all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from liber_tasks.errors import InputError
from liber_tasks.experiment.effect import LogRatio, log_ratio
from liber_tasks.experiment.record import Estimate
from liber_tasks.experiment.sequential import anytime_critical, planned_critical
from liber_tasks.experiment.statistics import METRICS, raw_and_adjusted
from tests.experiment.arrays import arms, delta_interval, week

DAILY = np.arange(1, 8) / 7


def test_the_looks_of_a_week_are_crossed_once_in_twenty() -> None:
    critical = planned_critical(DAILY)
    correlation = np.minimum.outer(DAILY, DAILY) / np.maximum.outer(DAILY, DAILY)
    inside = multivariate_normal(np.zeros(7), correlation, maxpts=200_000, abseps=1e-5).cdf(
        critical, lower_limit=-critical, rng=np.random.default_rng(0)
    )
    assert 1 - inside == pytest.approx(0.05, abs=2e-4)


def test_users_all_exposed_on_the_first_day_are_crossed_less() -> None:
    critical = planned_critical(DAILY)
    steps = np.random.default_rng(1).normal(size=(200_000, 7)).cumsum(1) / np.sqrt(np.arange(1, 8))
    assert 0.03 < (abs(steps) > critical).any(1).mean() < 0.05


def test_one_look_is_the_fixed_sample_interval() -> None:
    assert planned_critical([1.0]) == pytest.approx(norm.ppf(0.975), abs=1e-5)


@pytest.mark.parametrize(("looks", "widest"), [(2, 1.06), (7, 1.15), (14, 1.19), (28, 1.22)])
def test_the_last_look_is_at_most_a_quarter_wider(looks: int, widest: float) -> None:
    assert planned_critical(np.arange(1, looks + 1) / looks)[-1] / norm.ppf(0.975) < widest <= 1.25


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 100), min_size=1, max_size=12, unique=True), st.sampled_from([0.01, 0.05, 0.2]))
def test_any_plan_narrows_with_time_and_lies_between_one_look_and_bonferroni(days: list[int], alpha: float) -> None:
    critical = planned_critical([day / 100 for day in sorted(days)], alpha)
    assert (np.diff(critical) < 0).all()
    assert norm.isf(alpha / 2) - 1e-4 <= critical[-1] <= norm.isf(alpha / 2 / len(days)) + 1e-4
    assert (critical == planned_critical([day / 100 for day in sorted(days)], alpha)).all()


@pytest.mark.parametrize("wrong", [[], [0.0, 1.0], [0.5, 0.5], [1.0, 0.5], [0.5, 1.1], [float("nan")], [0.5, 0.501]])
def test_a_plan_that_is_none_is_refused(wrong: list[float]) -> None:
    with pytest.raises(InputError, match="look"):
        planned_critical(wrong)


def test_the_confidence_sequence_is_the_published_one_and_tightest_at_the_planned_end() -> None:
    widths = {n: anytime_critical(n, 1_000) / n**0.5 for n in (900, 1_000, 1_100)}
    at_end = {planned: anytime_critical(1_000, planned) for planned in (800, 1_000, 1_250)}
    assert min(at_end, key=at_end.__getitem__) == 1_000
    assert widths[900] > widths[1_000] > widths[1_100]

    rho2 = 8.2135 / 1_000  # Theorem 2.2 as printed: sqrt(2 (n rho^2 + 1) / (n^2 rho^2) log(sqrt(n rho^2 + 1) / alpha))
    n = 400
    published = np.sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * np.log(np.sqrt(n * rho2 + 1) / 0.05))
    assert anytime_critical(n, 1_000) / n**0.5 == pytest.approx(published, rel=1e-4)


def test_the_confidence_sequence_holds_at_every_one_of_many_looks() -> None:
    rng = np.random.default_rng(2)
    looks = np.arange(1, 401)
    critical = np.array([anytime_critical(n, 100) for n in looks])  # runs four times as long as planned
    z = rng.normal(size=(5_000, 400)).cumsum(1) / np.sqrt(looks)
    assert (abs(z) > critical).any(1).mean() < 0.05


@pytest.mark.parametrize("wrong", [(0.0, 1.0), (1.0, -1.0), (float("nan"), 1.0)])
def test_information_must_be_positive(wrong: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="positive"):
        anytime_critical(*wrong)


def test_a_band_is_the_delta_methods_and_at_the_usual_critical_value_the_interval() -> None:
    columns, treated = week(4_000, 3, 0.05, 0.05)
    estimate = raw_and_adjusted(METRICS[0], arms(columns, treated))[0]
    effect = log_ratio(estimate)
    assert effect is not None
    value, se = delta_interval(columns["play_count"], treated)
    assert effect.value == pytest.approx(value, abs=1e-12)
    assert effect.se == pytest.approx(se, rel=0.005)
    (fixed, wide) = (effect.interval(critical) for critical in (norm.ppf(0.975), 2.5))
    assert fixed == pytest.approx((estimate.lift_low, estimate.lift_high), abs=1e-12)
    assert wide[0] < fixed[0] < fixed[1] < wide[1]
    assert wide == pytest.approx((np.exp(value - 2.5 * se) - 1, np.exp(value + 2.5 * se) - 1), abs=0.02 * 1.96 * se)


def test_an_estimate_without_a_lift_has_no_band() -> None:
    assert log_ratio(Estimate(reason="why")) is None
    assert LogRatio(0.0, 0.0).interval(2.0) == (0.0, 0.0)
