"""Many segments: few false finds, none tested that is too small, and a lift that differs is seen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from liber_tasks.experiment.record import Estimate
from liber_tasks.experiment.segments import Segment, discoveries, interactions
from liber_tasks.experiment.statistics import METRICS, raw_and_adjusted
from tests.experiment.arrays import days, delta_interval, moments, totals


def segment(p_value: float, users: int = 1_000, name: str = "a") -> Segment:
    estimate = Estimate(lift=0.0, lift_low=-0.1, lift_high=0.1, p_value=p_value)
    return Segment("age", name, "play_count", users, users, estimate)


@given(st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=40))
def test_q_values_are_benjamini_and_hochbergs(p_values: list[float]) -> None:
    found = [one.q_value for one in discoveries([segment(p) for p in p_values])]
    m = len(p_values)
    for p, q in zip(p_values, found, strict=True):  # smallest over all larger p of p * m / rank
        expected = min(min(1.0, other * m / sum(x <= other for x in p_values)) for other in p_values if other >= p)
        assert q == pytest.approx(expected, rel=1e-9)


def test_a_tiny_segment_is_named_and_changes_nothing_for_the_others() -> None:
    alone = discoveries([segment(0.01), segment(0.04)])
    with_tiny = discoveries([segment(0.01), segment(0.0001, users=199, name="80+"), segment(0.04)])
    assert [one.q_value for one in with_tiny] == [alone[0].q_value, None, alone[1].q_value]
    assert with_tiny[1].reason == "age 80+ has an arm of 199 users: under 200 it is not tested."


def test_a_segment_without_an_estimate_gives_its_reason() -> None:
    silent = Segment("age", "a", "play_count", 500, 500, Estimate(reason="No user played."))
    assert discoveries([silent])[0].reason == "No user played."
    assert discoveries([]) == []
    assert interactions([]) == []
    (test,) = interactions([silent, segment(0.5)])
    assert (test.segments, test.p_value, test.q_value) == (1, None, None)
    assert "nothing to compare" in (test.reason or "")


def worlds(lifts: list[float], seed: int, users: int = 6_000) -> tuple[list[Segment], list[tuple[float, float]]]:
    treated = np.arange(users) % 2 == 1
    value = np.arange(users) // 2 % len(lifts)
    columns = totals(days(treated, np.random.default_rng(seed), np.array(lifts)[value][:, None]))
    found, by_hand = [], []
    for n in range(len(lifts)):
        inside = value == n
        pair = {"control": moments(columns, inside & ~treated), "treatment": moments(columns, inside & treated)}
        estimate = raw_and_adjusted(METRICS[0], pair)[0]
        found.append(Segment("age", str(n), "play_count", pair["control"].n, pair["treatment"].n, estimate))
        by_hand.append(delta_interval(columns["play_count"][inside], treated[inside]))
    return found, by_hand


def test_cochrans_q_is_the_closed_form() -> None:
    found, by_hand = worlds([0.0, 0.3, 0.0], seed=1)
    (test,) = interactions(found)
    values, errors = np.array(by_hand).T
    weights = 1 / errors**2
    q = float((weights * (values - (weights * values).sum() / weights.sum()) ** 2).sum())
    assert test.statistic == pytest.approx(q, rel=0.02)
    assert test.degrees == 2
    assert test.p_value == pytest.approx(chi2.sf(test.statistic, 2))
    assert test.q_value == test.p_value  # the only one


def test_equal_lifts_look_different_once_in_twenty() -> None:
    rng = np.random.default_rng(3)
    runs, p_values = 2_000, []
    errors = np.array([0.01, 0.02, 0.05, 0.03])
    for draw in rng.normal(0.1, errors, (runs, 4)):
        ends = np.expm1([draw, draw - 1.959964 * errors, draw + 1.959964 * errors]).T
        found = [
            Segment("age", str(n), "m", 500, 500, Estimate(lift=lift, lift_low=low, lift_high=high, p_value=0.5))
            for n, (lift, low, high) in enumerate(ends)
        ]
        p_values.append(interactions(found)[0].p_value)
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=4 * (0.05 * 0.95 / runs) ** 0.5)


def test_lifts_that_differ_are_seen() -> None:
    assert interactions(worlds([0.0, 0.4], 5, 8_000)[0])[0].p_value < 0.001
