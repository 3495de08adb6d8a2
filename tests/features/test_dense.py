"""All features of a sample together: in order, chunk by chunk the same, and blind to what comes later."""

import numpy as np
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st
from scipy import sparse

from liber_tasks.features.dense import Past, dense, names, profiles_by
from liber_tasks.features.profile import directions
from liber_tasks.features.snapshot import snapshots
from liber_tasks.fusion.options import (
    AFFINITY,
    COMPARED,
    DENSE,
    DENSE_PROFILE,
    GENRE,
    LEXICAL_PROFILE,
    MEAN,
    POOLED,
    STATISTICS,
    WORDS,
)
from tests.features.reference import EVENTS, ITEMS, TIMES, Event, columns, stream

K = 3  # behaviours of a partition
KNOWN = (np.arange(ITEMS) > 0)[:, None]  # item 0 is the one that nothing is known of
NOBODY = np.zeros(0, dtype=np.int64)
_RNG = np.random.default_rng(0)
VIEWS = {
    DENSE_PROFILE: directions(_RNG.normal(size=(ITEMS, 4)) * KNOWN, NOBODY),
    LEXICAL_PROFILE: directions(_RNG.normal(size=(ITEMS, 3)) * KNOWN, NOBODY),
    WORDS: sparse.csr_array(directions(_RNG.random((ITEMS, 40)) * (_RNG.random((ITEMS, 40)) < 0.4) * KNOWN, NOBODY)),
    GENRE: directions(np.eye(2)[np.arange(ITEMS) % 2] * KNOWN, NOBODY),
}


def _features(
    events: list[Event], user: int, time: int, moment: int, candidates: list[int], options: tuple[str, ...] = DENSE
) -> np.ndarray:
    """(n, F) of a user's candidates at a time, when others were counted at `moment`."""
    own = sorted((event for event in events if event.user == user), key=lambda event: event.time)
    _, item, response, when = columns(own)
    part = np.arange(len(own)) // K
    part[part == len(own) // K] = -1  # the open cache
    last = when[K - 1 :: K]
    earlier, closed = int((when < time).sum()), int((last < time).sum())
    past = Past(
        item, response, np.array([[0, earlier]] * len(candidates)),
        profiles_by(VIEWS, item, response, part, len(last)), np.array([[0, closed]] * len(candidates)),
    )  # fmt: skip
    *_, snapshot = snapshots(*stream(events), [moment - 4, moment - 2, moment], ITEMS)
    return dense(options, snapshot, past, np.array(candidates))


@rules(max_examples=80, deadline=None)
@given(EVENTS, EVENTS, st.integers(0, 3), st.integers(0, TIMES), st.integers(0, 2))
def test_nothing_at_or_after_a_samples_time_moves_a_feature(
    events: list[Event], later: list[Event], user: int, time: int, ago: int
) -> None:
    candidates, moment = list(range(ITEMS)), time - ago
    changed = [event for event in events if event.time < time] + [event for event in later if event.time >= time]
    before, after = (_features(each, user, time, moment, candidates) for each in (events, changed))
    np.testing.assert_array_equal(before, after)


def test_what_comes_before_does_move_them() -> None:
    """The property above would hold of features that say nothing."""
    rng, moved = np.random.default_rng(0), set()
    streams = [[Event(*map(int, row)) for row in rng.integers((0, 1, 0, 0), (2, ITEMS, 5, 8), (60, 4))]
               for _ in range(4)]  # fmt: skip
    first, *others = (_features(events, 0, 9, 9, list(range(1, ITEMS))) for events in (*streams, []))
    for other in others:
        moved |= {name for name, same in zip(names(DENSE), (first == other).all(axis=0), strict=True) if not same}
    assert moved == set(names(DENSE))


def test_columns_are_groups_in_a_fixed_order_whatever_the_order_of_options() -> None:
    events = [Event(user, item, item % 5, user + item) for user in range(4) for item in range(1, ITEMS)]
    chosen = (STATISTICS, POOLED, WORDS)
    whole, some = (_features(events, 1, 9, 9, [1, 2], options) for options in (DENSE, chosen))
    columns_of = dict(zip(names(DENSE), whole.T, strict=True))
    assert names(chosen) == tuple(name for name in names(DENSE) if name.split(".")[0] in (WORDS, STATISTICS))
    np.testing.assert_array_equal(some.T, [columns_of[name] for name in names(chosen)])
    assert [name.split(".")[0] for name in names(DENSE)] == sorted(
        (name.split(".")[0] for name in names(DENSE)), key=(*COMPARED, AFFINITY, STATISTICS).index
    )
    assert names((POOLED, MEAN)) == ()
    assert _features(events, 1, 9, 9, [1, 2], (POOLED,)).shape == (2, 0)
