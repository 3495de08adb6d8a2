"""Moments of groups of users add up to those of all, and taking a group out leaves those of the rest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from liber_tasks.experiment.moments import Moments, of_columns, of_row, total

PAIRS = [("y", "x")]
USERS = st.integers(2, 40).flatmap(
    lambda n: arrays(np.float64, (n, 2), elements=st.floats(0, 1e6, allow_nan=False, width=32))
)


def of(rows: np.ndarray) -> Moments:
    return of_columns({"y": rows[:, 0], "x": rows[:, 1]}, PAIRS)


def near(one: Moments, other: Moments, size: float) -> None:
    assert one.n == other.n
    for name, mean in other.mean.items():
        assert one.mean[name] == pytest.approx(mean, rel=1e-9, abs=1e-9 * size)
    for pair, value in other.scatter.items():
        assert one.scatter[pair] == pytest.approx(value, rel=1e-6, abs=1e-9 * size**2 * max(other.n, 1))


@given(USERS, USERS)
def test_a_sum_is_of_all_users_and_a_difference_of_the_rest(one: np.ndarray, other: np.ndarray) -> None:
    size = max(float(np.abs(one).max()), float(np.abs(other).max()), 1.0)
    whole = of(np.concatenate([one, other]))
    near(of(one) + of(other), whole, size)
    near(whole - of(other), of(one), size)
    near(total([of(one), Moments(), of(other)]), whole, size)


@settings(deadline=None)  # the first call imports tea-tasting
@given(USERS)
def test_aggregates_are_the_sample_s(rows: np.ndarray) -> None:
    found = of(rows).aggregates()
    covariance = np.cov(rows.T)
    scale = max(float(np.abs(covariance).max()), 1e-9)
    assert found.count() == len(rows)
    assert found.mean("y") == pytest.approx(rows[:, 0].mean())
    assert found.var("y") == pytest.approx(covariance[0, 0], rel=1e-9, abs=1e-9 * scale)
    assert found.cov("x", "y") == pytest.approx(covariance[0, 1], rel=1e-9, abs=1e-9 * scale)


def test_a_row_of_the_database_gives_the_same() -> None:
    rows = np.random.default_rng(0).gamma(2.0, size=(50, 2))
    wanted = of(rows)
    row = [*rows.mean(0), wanted.scatter["y", "y"], wanted.scatter["x", "x"], wanted.scatter["x", "y"]]
    near(of_row(50, {"y__x": row}), wanted, 1.0)
