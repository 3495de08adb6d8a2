"""Splits: by time, and by users of whom each is tested once."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from liber_tasks.errors import InputError
from liber_tasks.training.parts import FIT, TEST, VALIDATION, Fold, by_time, by_users

CUT = datetime(2024, 1, 1, tzinfo=UTC)
STREAMS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 30)), min_size=150, max_size=300)


def _columns(stream: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    whole = [(user, 0) for user in range(1, 61)] + stream  # everybody does something
    user, time = np.array(sorted(whole)).T
    return time, user, np.flatnonzero(np.arange(len(user)) % 4 > 0), [f"u{n}" for n in range(1, 61)]


@rules(max_examples=30, deadline=None)
@given(STREAMS)
def test_each_user_is_tested_in_one_fold_and_known_to_the_model_only_where_it_trains(stream: list) -> None:
    time, user, place, ids = _columns(stream)
    tested = np.zeros(len(place), dtype=int)
    for number in range(5):
        parts = by_users(time, user, place, ids, Fold(number))
        of_user = {u: set(parts.part[user[place] == u].tolist()) for u in np.unique(user[place])}
        assert all(len(found) == 1 for found in of_user.values())  # never in two parts
        fit = np.isin(user, [u for u, found in of_user.items() if found == {FIT}])
        asked = np.isin(user, user[place])
        np.testing.assert_array_equal(parts.known[asked], fit[asked])
        tested += parts.part == TEST
        assert (parts.moments[parts.moment_of] <= time[place]).all()
    assert (tested == 1).all()


def test_whether_a_user_tests_does_not_depend_on_who_else_is_there() -> None:
    time, user, place, ids = _columns([])
    place = np.arange(len(user))
    whole = by_users(time, user, place, ids, Fold(2)).part == TEST
    half = len(user) // 2
    part = by_users(time[:half], user[:half], place[:half], ids[:half], Fold(2)).part == TEST
    np.testing.assert_array_equal(part, whole[:half])


def test_too_few_users_are_said() -> None:
    with pytest.raises(InputError, match="Fold 1 of 5 leaves a part of the users without one: load more users"):
        by_users(np.zeros(2), np.array([1, 2]), np.arange(2), ["a", "b"], Fold(0))


@rules(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=30, max_size=80))
def test_by_time_nothing_that_fits_comes_after_what_validates_nor_that_after_what_tests(times: list[int]) -> None:
    time = np.sort(np.array([*times, *range(51), 99]))
    parts = by_time(time, np.arange(len(time)), 60, CUT)
    latest = {part: time[parts.part == part].max(initial=-1) for part in (FIT, VALIDATION)}
    earliest = {part: time[parts.part == part].min(initial=100) for part in (VALIDATION, TEST)}
    assert latest[FIT] < earliest[VALIDATION] <= latest[VALIDATION] < 60 <= earliest[TEST]
    np.testing.assert_array_equal(parts.known, time < earliest[VALIDATION])
