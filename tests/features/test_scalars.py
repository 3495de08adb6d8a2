"""Affinity and running means of samples, against loops over their histories."""

import numpy as np
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from liber_tasks.features import affinity, statistics
from liber_tasks.features.snapshot import Snapshot, snapshots
from tests.features.reference import EVENTS, ITEMS, TIMES, Counts, Event, stream

SAMPLES = st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39), st.integers(0, ITEMS - 1)), max_size=6)


def _ranges(samples: list[tuple[int, int, int]], length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """start, end, candidate of samples: any ranges of the events, some of them empty."""
    cut = [(min(a, b, length), min(max(a, b), length), candidate) for a, b, candidate in samples]
    table = np.array(cut, dtype=np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


@rules(max_examples=80, deadline=None)
@given(EVENTS, st.integers(-1, TIMES + 1), SAMPLES)
def test_scalars_are_those_of_each_history(
    events: list[Event], moment: int, samples: list[tuple[int, int, int]]
) -> None:
    events = sorted(events, key=lambda event: (event.user, event.time))
    user, item, response, *others = stream(events)
    moments = [moment - 3, moment]
    *_, snapshot = snapshots(user, item, response, *others, moments, ITEMS)
    start, end, candidate = _ranges(samples, len(events))
    counts = Counts(events, moments)
    histories = [(events[a:b], c) for a, b, c in zip(start, end, candidate.tolist(), strict=True)]
    found = affinity.affinity(snapshot, item, response, start, end, candidate)
    expected = [counts.affinity(history, c) for history, c in histories]
    np.testing.assert_allclose(found, np.reshape(expected, (-1, len(affinity.NAMES))), rtol=1e-5, atol=1e-6)
    found = statistics.statistics(snapshot, response, item, start, end, candidate)
    expected = [counts.statistics(history, c) for history, c in histories]
    np.testing.assert_allclose(found, np.reshape(expected, (-1, len(statistics.NAMES))), rtol=1e-5, atol=1e-6)


def test_nothing_known_is_neutral() -> None:
    empty, none = Snapshot.empty(ITEMS), np.zeros(1, dtype=np.int64)
    assert affinity.affinity(empty, none, none, none, none, none).tolist() == [[0] * 7]
    assert statistics.statistics(empty, none, none, none, none, none).tolist() == [[0.5, 0, 0, 0, 0.5, 0, 0]]
    assert empty.like_share(none).tolist() == [0.5]
