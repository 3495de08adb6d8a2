"""Point-in-time ranges: what was known strictly before a sample. Pure array functions (DESIGN, section 7)."""

import numpy as np


def strictly_earlier(user: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Range of each event's history: its user's events with a strictly earlier time.

    Args:
        user: (N,) integers, non-decreasing.
        time: (N,) int64, non-decreasing within a user.

    Returns:
        start, end: (N,) int64; the history of event i is `[start[i], end[i])`. Events of the same time are in nobody's
        history among themselves.
    """
    position = np.arange(len(user))
    new_user = np.ones(len(user), dtype=bool)
    new_user[1:] = user[1:] != user[:-1]
    new_time = new_user.copy()
    new_time[1:] |= time[1:] != time[:-1]
    start = np.maximum.accumulate(np.where(new_user, position, 0))
    end = np.maximum.accumulate(np.where(new_time, position, 0))
    return start, end


def sealed_earlier(
    user: np.ndarray, time: np.ndarray, vector_user: np.ndarray, sealed_at: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Range of each event's memory: its user's vectors whose partition was sealed strictly earlier.

    Args:
        user, time: (N,) int64, of the events.
        vector_user, sealed_at: (V,) int64, sorted by user, then time.

    Returns:
        start, end: (N,) int64, ranges of rows among the V vectors.
    """
    times = np.unique(np.concatenate([time, sealed_at]))  # ranks keep (user, time) within one integer
    key = vector_user * (len(times) + 1) + np.searchsorted(times, sealed_at)
    start = np.searchsorted(key, user * (len(times) + 1), side="left")
    end = np.searchsorted(key, user * (len(times) + 1) + np.searchsorted(times, time), side="left")
    return start, end


def latest(start: np.ndarray, end: np.ndarray, at_most: int) -> np.ndarray:
    """Start of the last `at_most` positions of each range."""
    return np.maximum(start, end - at_most)


def tail_cut(time: np.ndarray, share: float) -> int:
    """Time from which on the last `share` of the samples lies; samples of one time stay on one side."""
    return int(np.sort(time)[int(len(time) * (1 - share))])


def partition_of(
    user: np.ndarray, seq: np.ndarray, partition_user: np.ndarray, first_seq: np.ndarray, last_seq: np.ndarray
) -> np.ndarray:
    """Row of the partition each event lies in, (N,) int64; -1 for one that is in none yet.

    Args:
        user, seq: (N,) int64 of the events, in any order.
        partition_user, first_seq, last_seq: (Q,) int64; a user's partitions do not overlap.
    """
    if not len(partition_user):
        return np.full(len(user), -1)
    bound = int(max(seq.max(initial=0), last_seq.max())) + 2
    order = np.argsort(partition_user * bound + first_seq, kind="stable")
    place = np.searchsorted((partition_user * bound + first_seq)[order], user * bound + seq, side="right") - 1
    row = order[np.maximum(place, 0)]
    inside = (place >= 0) & (partition_user[row] == user) & (seq <= last_seq[row])
    return np.where(inside, row, -1)
