"""Ranges as flat pairs, against loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from liber_tasks.features.ranges import flat, largest, mean, total

RANGES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), max_size=8)
OWNED = st.lists(st.tuples(st.integers(0, 4), st.integers(-9, 9)), max_size=20)


@given(RANGES)
def test_every_row_of_every_range_is_named_with_its_owner(ranges: list[tuple[int, int]]) -> None:
    start, length = np.array(ranges, dtype=np.int64).reshape(-1, 2).T
    owner, row = flat(start, start + length)
    expected = [(number, place) for number, (a, n) in enumerate(ranges) for place in range(a, a + n)]
    assert list(zip(owner.tolist(), row.tolist(), strict=True)) == expected


@given(OWNED)
def test_sums_means_and_largest_are_each_owners_and_zero_for_who_has_none(owned: list[tuple[int, int]]) -> None:
    owner, values = np.array(owned, dtype=np.int64).reshape(-1, 2).T
    of = [[value for mine, value in owned if mine == number] for number in range(5)]
    assert total(owner, values, 5).tolist() == [sum(each) for each in of]
    np.testing.assert_allclose(mean(owner, values, 5), [sum(each) / len(each) if each else 0 for each in of])
    assert largest(owner, values, 5).tolist() == [max(each, default=0) for each in of]
