import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liber_tasks.training.evaluate import auc, log_loss, paired_difference, spread


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.5, 0.9])), min_size=2, max_size=30))
def test_auc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[bool, float]]) -> None:
    positive, negative = [p for label, p in rows if label], [p for label, p in rows if not label]
    found = auc(np.array([label for label, _ in rows]), np.array([p for _, p in rows]))
    if not positive or not negative:
        assert found is None
    else:
        pairs = [(a > b) + 0.5 * (a == b) for a in positive for b in negative]
        assert found == pytest.approx(np.mean(pairs))


def test_log_loss_is_the_mean_negative_log_likelihood_of_one_class_too() -> None:
    assert log_loss(np.array([1, 0]), np.array([0.8, 0.4])) == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)
    assert log_loss(np.array([1, 1]), np.array([0.5, 0.5])) == pytest.approx(math.log(2))


def test_differences_are_paired_by_seed() -> None:
    result = paired_difference([0.71, 0.82, 0.63], [0.70, 0.80, 0.60])
    assert result.values == pytest.approx((0.01, 0.02, 0.03))
    assert result.mean == pytest.approx(0.02)
    assert result.sd == pytest.approx(0.01)
    assert result.p == pytest.approx(0.0742, abs=1e-4)  # t = 2 sqrt(3), 2 degrees of freedom


def test_what_cannot_be_said_of_one_seed_or_of_equal_runs_is_none() -> None:
    assert spread([0.7]).sd is None
    assert paired_difference([0.7], [0.6]).p is None
    assert paired_difference([0.7, 0.8], [0.7, 0.8]).p is None
