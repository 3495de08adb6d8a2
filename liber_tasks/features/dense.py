"""All dense features of samples, group by group, from what lies strictly before each (DESIGN, section 7)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from liber_tasks.features import affinity, profile, statistics
from liber_tasks.features.profile import Profiles, profiles
from liber_tasks.features.snapshot import Snapshot
from liber_tasks.features.words import word_profiles
from liber_tasks.fusion.options import AFFINITY, COMPARED, DENSE, STATISTICS, WORDS

_NAMES = {**dict.fromkeys(COMPARED, profile.NAMES), AFFINITY: affinity.NAMES, STATISTICS: statistics.NAMES}
Views = Mapping[str, Any]  # (C, v) float32 directions of items by option; of `WORDS` a sparse matrix


@dataclass(frozen=True)
class Past:
    """What samples may read: behaviours and closed partitions of their users, as ranges into common arrays.

    Attributes:
        item: (N,) int64, row of the catalogue of each behaviour.
        response: (N,) int64, as in `Batch.entry_response`.
        history: (n, 2) int64, [start, end) among the behaviours: those strictly before the sample that it sees.
        profiles: of the Q partitions, by option.
        closed: (n, 2) int64, [start, end) among the Q partitions: those sealed strictly before the sample.
    """

    item: np.ndarray
    response: np.ndarray
    history: np.ndarray
    profiles: Mapping[str, Profiles]
    closed: np.ndarray

    def of(self, samples: np.ndarray) -> "Past":
        """The past of some samples."""
        return replace(self, history=self.history[samples], closed=self.closed[samples])


def profiles_by(
    views: Views, item: np.ndarray, response: np.ndarray, partition: np.ndarray, partitions: int
) -> dict[str, Profiles]:
    """The partitions' profiles in each view; arguments as in `profile.profiles`."""
    return {
        name: (word_profiles if name == WORDS else profiles)(view, item, response, partition, partitions)
        for name, view in views.items()
    }


def names(options: Iterable[str]) -> tuple[str, ...]:
    """Columns of `dense`, as group.name."""
    chosen = set(options)
    return tuple(f"{group}.{name}" for group in DENSE if group in chosen for name in _NAMES[group])


def dense(options: Iterable[str], snapshot: Snapshot, past: Past, candidate: np.ndarray) -> np.ndarray:
    """Dense features of samples that share a snapshot.

    Args:
        options: names in `fusion.options`; those that are no dense group add nothing.
        snapshot: of a moment not after any of the samples.
        past: of the n samples, with the profiles that the options compare with.
        candidate: (n,) int64, rows of the catalogue.

    Returns:
        (n, F) float32; the columns are `names(options)`.
    """
    chosen, (start, end), (first, last) = set(options), past.history.T, past.closed.T
    made = []
    if compared := [past.profiles[name] for name in COMPARED if name in chosen]:
        made.append(profile.similarity(compared, first, last, candidate))
    if AFFINITY in chosen:
        made.append(affinity.affinity(snapshot, past.item, past.response, start, end, candidate))
    if STATISTICS in chosen:
        made.append(statistics.statistics(snapshot, past.response, past.item, start, end, candidate))
    return np.concatenate(made, axis=1) if made else np.zeros((len(candidate), 0), dtype=np.float32)
