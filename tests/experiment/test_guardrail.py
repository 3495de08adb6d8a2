"""A guardrail passes only where harm beyond its margin is excluded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liber_tasks.errors import InputError
from liber_tasks.experiment.guardrail import judge
from liber_tasks.experiment.statistics import METRICS, raw_and_adjusted
from tests.experiment.arrays import arms, delta_interval, week


@pytest.mark.parametrize(
    ("interval", "higher_is_better", "verdict"),
    [
        ((-0.005, 0.02), True, "non-inferior"),
        ((-0.02, 0.02), True, "undecided"),
        ((-0.05, -0.011), True, "inferior"),
        ((-0.05, -0.005), True, "undecided"),  # worse, but by how much is open
        ((-0.009, -0.001), True, "non-inferior"),  # worse for sure, and by less than the margin
        ((-0.02, 0.005), False, "non-inferior"),
        ((0.005, 0.02), False, "undecided"),
        ((0.011, 0.05), False, "inferior"),
        (None, True, "undecided"),
    ],
)
def test_the_interval_against_a_margin_of_one_percent(
    interval: tuple[float, float] | None, higher_is_better: bool, verdict: str
) -> None:
    found = judge(interval, 0.01, higher_is_better)
    assert found.verdict == verdict
    assert (found.reason is None) == (verdict != "undecided")


@given(st.floats(-0.9, 0.9), st.floats(0, 0.9), st.floats(0.001, 0.5))
def test_the_directions_mirror_each_other(low: float, width: float, margin: float) -> None:
    high = low + width
    assert judge((low, high), margin, True).verdict == judge((-high, -low), margin, False).verdict


@given(st.floats(-0.9, 0.9), st.floats(0, 0.9), st.floats(0.001, 0.2))
def test_a_wider_margin_never_takes_a_pass_back(low: float, width: float, margin: float) -> None:
    if judge((low, low + width), margin).verdict == "non-inferior":
        assert judge((low, low + width), 2 * margin).verdict == "non-inferior"


def test_it_is_the_one_sided_test_at_two_and_a_half_percent() -> None:
    columns, treated = week(4_000, 5, 0.02, 0.02)
    estimate = raw_and_adjusted(METRICS[1], arms(columns, treated))[0]
    value, se = delta_interval(columns["play_seconds"], treated)
    assert estimate.lift_low is not None
    assert estimate.lift_high is not None
    edge = 1 - 2.718281828459045 ** (value - 1.96 * se)  # the smallest margin that passes
    slack = 0.02 * 1.96 * se
    interval = (estimate.lift_low, estimate.lift_high)
    assert judge(interval, edge + slack).verdict == "non-inferior"
    assert judge(interval, edge - slack).verdict == "undecided"


@pytest.mark.parametrize("margin", [0.0, -0.01, 1.0, float("nan")])
def test_a_margin_out_of_range_is_refused(margin: float) -> None:
    with pytest.raises(InputError, match="margin"):
        judge((0.0, 0.1), margin)
