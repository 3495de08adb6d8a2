"""Counts of what all users had done before a moment, against loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as rules

from liber_tasks.features.snapshot import Snapshot, matrices, snapshots
from tests.features.reference import EVENTS, ITEMS, MOMENTS, Counts, Event, stream

SURPRISING = ("products", "squares")


def _arrays(snapshot: Snapshot, but: tuple[str, ...] = ()) -> list[np.ndarray]:
    counted = [getattr(snapshot, name).toarray() for name in matrices() if name not in but]
    return [snapshot.rated, snapshot.liked, snapshot.stars, *counted]


@rules(max_examples=60, deadline=None)
@given(EVENTS, MOMENTS)
def test_a_snapshot_counts_ratings_and_pairs_strictly_before_its_moment(
    events: list[Event], moments: list[int]
) -> None:
    events = list(dict.fromkeys(events))  # a surprise is looked up by its event
    for number, snapshot in enumerate(snapshots(*stream(events), moments, ITEMS), 1):
        expected = Counts(events, moments[:number])
        for item in range(ITEMS):
            assert snapshot.rated[item] == expected.rated[item]
            assert snapshot.liked[item] == expected.liked[item]
            assert snapshot.stars[item] == expected.stars[item]
            for other in range(ITEMS):
                assert snapshot.with_disliked[item, other] == expected.pairs[False, item, other]
                assert snapshot.with_liked[item, other] == expected.pairs[True, item, other]
                assert snapshot.liked_with_disliked[item, other] == expected.pairs_liked[False, item, other]
                assert snapshot.liked_with_liked[item, other] == expected.pairs_liked[True, item, other]
                assert snapshot.products[item, other] == pytest.approx(expected.products[item, other])
                assert snapshot.squares[item, other] == pytest.approx(expected.squares[item, other])


@rules(max_examples=60, deadline=None)
@given(EVENTS, MOMENTS)
def test_counted_on_or_counted_from_the_start_is_the_same_but_for_what_surprised(
    events: list[Event], moments: list[int]
) -> None:
    for moment, one in zip(moments, snapshots(*stream(events), moments, ITEMS), strict=True):
        (alone,) = snapshots(*stream(events), [moment], ITEMS)
        for left, right in zip(_arrays(one, SURPRISING), _arrays(alone, SURPRISING), strict=True):
            np.testing.assert_array_equal(left, right)
        assert not alone.products.toarray().any()  # nothing was known before


@rules(max_examples=60, deadline=None)
@given(EVENTS, EVENTS, MOMENTS)
def test_what_happens_at_a_moment_or_later_is_not_counted(
    events: list[Event], later: list[Event], moments: list[int]
) -> None:
    moment = moments[-1]
    changed = [event for event in events if event.time < moment] + [event for event in later if event.time >= moment]
    before, after = (snapshots(*stream(each), moments, ITEMS)[-1] for each in (events, changed))
    for left, right in zip(_arrays(before), _arrays(after), strict=True):
        np.testing.assert_array_equal(left, right)


@rules(max_examples=40, deadline=None)
@given(EVENTS)
def test_without_pairs_the_rest_is_the_same(events: list[Event]) -> None:
    (_, whole), (_, bare) = (snapshots(*stream(events), [5, 9], ITEMS, pairs=pairs) for pairs in (True, False))
    np.testing.assert_array_equal(bare.rated, whole.rated)
    np.testing.assert_array_equal(bare.liked, whole.liked)
    assert [getattr(bare, name).nnz for name in matrices()] == [0] * 6


@rules(max_examples=40, deadline=None)
@given(EVENTS)
def test_a_snapshot_survives_being_kept(events: list[Event]) -> None:
    _, snapshot = snapshots(*stream(events), [5, 9], ITEMS)
    back = Snapshot.from_bytes(snapshot.to_bytes())
    for left, right in zip(_arrays(back), _arrays(snapshot), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-12)  # kept in 32 bits
        assert left.dtype == np.float64
    empty = Snapshot.from_bytes(Snapshot.empty(ITEMS).to_bytes())
    assert all(not array.any() for array in _arrays(empty))
