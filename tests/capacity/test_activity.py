"""Partitions that the model expects, against a stream that is really drawn and cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liber_tasks.capacity.activity import SUMMED, partitions

means = st.floats(0.01, 5_000)
sizes = st.integers(1, 100)
spreads = st.floats(0.2, 20)


@pytest.mark.parametrize(
    ("mean", "k", "spread"), [(5, 4, 1.0), (50, 20, 1.0), (30, 7, 0.5), (200, 20, 5.0), (3, 20, 2.0)]
)
def test_as_many_are_expected_as_sealing_drawn_streams_by_count_leaves(mean, k, spread):
    dice = np.random.default_rng(1)
    users = 200_000
    lengths = dice.poisson(dice.gamma(spread, mean / spread, users))
    sealed = np.array([_sealed(length, k) for length in range(lengths.max() + 1)])[lengths]
    expected, share = partitions(mean, k, spread)
    error = 4 * sealed.std() / np.sqrt(users)
    assert expected == pytest.approx(sealed.mean(), abs=error + 1e-9)
    assert share == pytest.approx((sealed > 0).mean(), abs=0.01)


def _sealed(behaviors: int, k: int) -> int:
    """Algorithm 1 (paper, section 3.2) as it is written: a cache that is full becomes a partition."""
    partitions = cache = 0
    for _ in range(behaviors):
        cache += 1
        if cache == k:
            partitions, cache = partitions + 1, 0
    return partitions


@given(means, sizes, spreads)
@settings(max_examples=40, deadline=None)
def test_no_more_than_all_behaviours_fill_and_no_fewer_than_all_but_a_cache(mean, k, spread):
    expected, share = partitions(mean, k, spread)
    assert max(mean / k - (k - 1) / k, 0) - 1e-6 <= expected <= mean / k + 1e-6
    assert 0 <= share <= 1
    assert share <= expected + 1e-6


@given(means, means, sizes, spreads)
@settings(max_examples=40, deadline=None)
def test_more_behaviours_never_make_fewer_partitions(one, other, k, spread):
    few, many = sorted((one, other))
    assert partitions(few, k, spread)[0] <= 1.01 * partitions(many, k, spread)[0] + 1e-6  # where the ways meet


@given(means, spreads)
@settings(max_examples=40, deadline=None)
def test_partitions_of_one_behaviour_are_the_behaviours(mean, spread):
    assert partitions(mean, 1, spread)[0] == pytest.approx(mean, rel=1e-4)


def test_counting_one_by_one_and_reckoning_by_the_mean_meet():
    below, above = SUMMED // 25 * 0.98, SUMMED // 25 * 1.3  # partitions a user on either side of the bound
    for mean in (below, above):
        assert partitions(20.0 * mean, 20, 1.0)[0] == pytest.approx(mean - 19 / 40, rel=1e-3)


def test_nobody_who_does_nothing_has_a_partition():
    assert partitions(0, 20, 1.0) == (0, 0)
