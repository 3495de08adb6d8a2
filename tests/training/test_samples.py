"""Point in time: ranges against a plain-Python oracle on random streams."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from liber_tasks.training.samples import latest, sealed_earlier, strictly_earlier, tail_cut

STREAM = st.lists(st.tuples(st.integers(0, 3), st.integers(-4, 8)), max_size=30).map(sorted)


def _columns(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    users, times = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(users, dtype=np.int64), np.array(times, dtype=np.int64)


@settings(max_examples=50, deadline=None)
@given(events=STREAM)
def test_a_history_is_all_strictly_earlier_events_of_the_user(events: list[tuple[int, int]]) -> None:
    start, end = strictly_earlier(*_columns(events))
    for place, (user, time) in enumerate(events):
        expected = [n for n, (u, t) in enumerate(events) if u == user and t < time]
        assert list(range(start[place], end[place])) == expected


@settings(max_examples=50, deadline=None)
@given(events=STREAM, vectors=STREAM)
def test_a_memory_is_all_vectors_sealed_strictly_earlier(
    events: list[tuple[int, int]], vectors: list[tuple[int, int]]
) -> None:
    start, end = sealed_earlier(*_columns(events), *_columns(vectors))
    for place, (user, time) in enumerate(events):
        expected = [n for n, (u, t) in enumerate(vectors) if u == user and t < time]
        assert list(range(start[place], end[place])) == expected


def test_only_the_latest_are_kept() -> None:
    assert latest(np.array([0, 5]), np.array([4, 6]), 3).tolist() == [1, 5]


def test_the_tail_takes_samples_of_one_time_together() -> None:
    time = np.array([1, 2, 3, 4, 5, 6, 7, 9, 9, 9])
    assert tail_cut(time, 0.1) == 9
    assert (time >= tail_cut(time, 0.1)).sum() == 3
