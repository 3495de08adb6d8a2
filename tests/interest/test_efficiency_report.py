"""The study's arithmetic: which steps are sampled, and what a sample says of all users."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liber_tasks.interest.study.efficiency_report import estimate, steps_of


@given(st.integers(1, 5000), st.integers(1, 40))
@settings(deadline=None)
def test_steps_are_distinct_evenly_spaced_and_within_the_sequence(behaviors: int, most: int) -> None:
    steps = steps_of(behaviors, most)
    assert len(steps) == min(behaviors, most)
    assert 1 <= steps[0] <= steps[-1] <= behaviors
    gaps = [after - before for before, after in pairwise(steps)]
    assert all(gap >= 1 for gap in gaps)
    assert max(gaps, default=0) - min(gaps, default=0) <= 1


def test_a_user_weighs_as_many_calls_as_it_has() -> None:
    found = estimate({"summary": 10.0}, {"summary": {1: (30, [1.0, 3.0]), 2: (10, [4.0])}})
    assert found is not None
    assert found[0] == pytest.approx(10 * (30 * 2 + 10 * 4) / 40)
    assert estimate({"summary": 1.0}, {"summary": {1: (3, [])}}) is None
    assert estimate({"summary": 1.0}, {"summary": {1: (3, [1.0, None])}}) is None
    alike = estimate({"summary": 4.0, "shift": 3.0}, {"summary": {1: (5, [2.0]), 2: (9, [2.0])},
                                                      "shift": {1: (4, [1.0]), 2: (8, [1.0])}})  # fmt: skip
    assert alike == (pytest.approx(4 * 2 + 3 * 1), pytest.approx(0))


def test_the_standard_error_is_how_far_samples_of_users_scatter() -> None:
    dice = random.Random(3)
    everybody = {user: (dice.randint(1, 40), dice.gauss(5, 1)) for user in range(2000)}
    totals, errors = [], []
    for _ in range(400):
        drawn = dice.sample(sorted(everybody), 30)
        found = estimate({"summary": 2.0}, {"summary": {u: (everybody[u][0], [everybody[u][1]]) for u in drawn}})
        assert found is not None
        assert found[1] is not None
        totals.append(found[0])
        errors.append(found[1])
    calls = sum(weight for weight, _ in everybody.values())
    true = 2 * sum(weight * value for weight, value in everybody.values()) / calls
    mean = sum(totals) / 400
    scatter = math.sqrt(sum((total - mean) ** 2 for total in totals) / 399)
    assert mean == pytest.approx(true, abs=scatter / 5)
    assert sum(errors) / 400 == pytest.approx(scatter, rel=0.15)
