"""All dense features of samples, group by group, from what lies strictly before each (DESIGN, section 7)."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from liber_tasks.features import affinity, profile, statistics
from liber_tasks.features.snapshot import Snapshot
from liber_tasks.fusion.options import AFFINITY, DENSE, GENRE, PROFILE, STATISTICS

_NAMES = {PROFILE: profile.NAMES, GENRE: profile.NAMES, AFFINITY: affinity.NAMES, STATISTICS: statistics.NAMES}


@dataclass(frozen=True)
class Past:
    """What samples may read: behaviours and closed partitions of their users, as ranges into common arrays.

    Attributes:
        item: (N,) int64, row of the catalogue of each behaviour.
        response: (N,) int64, as in `Batch.entry_response`.
        history: (n, 2) int64, [start, end) among the behaviours: those strictly before the sample that it sees.
        text: profiles by text vectors: (Q, 2, v) float32, and which partitions have any, (Q, 2) bool.
        genre: likewise by genres, (Q, 2, G).
        closed: (n, 2) int64, [start, end) among the Q partitions: those sealed strictly before the sample.
    """

    item: np.ndarray
    response: np.ndarray
    history: np.ndarray
    text: tuple[np.ndarray, np.ndarray]
    genre: tuple[np.ndarray, np.ndarray]
    closed: np.ndarray

    def of(self, samples: np.ndarray) -> "Past":
        """The past of some samples."""
        return Past(self.item, self.response, self.history[samples], self.text, self.genre, self.closed[samples])


def names(options: Iterable[str]) -> tuple[str, ...]:
    """Columns of `dense`, as group.name."""
    chosen = set(options)
    return tuple(f"{group}.{name}" for group in DENSE if group in chosen for name in _NAMES[group])


def dense(
    options: Iterable[str], snapshot: Snapshot, past: Past, candidate: np.ndarray, text: np.ndarray, genre: np.ndarray
) -> np.ndarray:
    """Dense features of samples that share a snapshot.

    Args:
        options: names in `fusion.options`; those that are no dense group add nothing.
        snapshot: of a moment not after any of the samples.
        past: of the n samples.
        candidate: (n,) int64, rows of the catalogue.
        text: (C, v) float32, directions of the items' text vectors.
        genre: (C, G) float32, directions of the items' genres.

    Returns:
        (n, F) float32; the columns are `names(options)`.
    """
    chosen, (start, end), (first, last) = set(options), past.history.T, past.closed.T
    groups = {
        PROFILE: lambda: profile.similarity(*past.text, first, last, text[candidate]),
        GENRE: lambda: profile.similarity(*past.genre, first, last, genre[candidate]),
        AFFINITY: lambda: affinity.affinity(snapshot, past.item, past.response, start, end, candidate),
        STATISTICS: lambda: statistics.statistics(snapshot, past.response, past.item, start, end, candidate),
    }
    columns = [groups[group]() for group in DENSE if group in chosen]
    return np.concatenate(columns, axis=1) if columns else np.zeros((len(candidate), 0), dtype=np.float32)
