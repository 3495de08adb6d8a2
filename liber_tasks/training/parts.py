"""Which samples train, validate and test: by time, or by user."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from liber_tasks.errors import InputError
from liber_tasks.training import samples

FIT, VALIDATION, TEST = 0, 1, 2
VALIDATION_SHARE = 0.1  # of the samples, or users, that train: early stopping and the choice of a seed
SNAPSHOTS = 48  # moments in the training period at which what all users did is counted anew


@dataclass(frozen=True)
class Parts:
    """A split of S samples.

    Attributes:
        part: (S,) int64, FIT, VALIDATION or TEST.
        known: (N,) bool, behaviours whose user and item the model knows.
        moments: int64, ascending: when what all users did is counted.
        moment_of: (S,) int64, the moment of each sample: the latest not after it.
    """

    part: np.ndarray
    known: np.ndarray
    moments: np.ndarray
    moment_of: np.ndarray


@dataclass(frozen=True)
class Fold:
    """One of `of` groups of users, by a digest of their ids."""

    number: int  # from 0
    of: int = 5


def by_time(time: np.ndarray, place: np.ndarray, cut_at: int, cut: datetime) -> Parts:
    """Samples before the cut train, their latest tenth validates, the others test (paper, section 4.1.1).

    Validation and test rows read the counts of the moment they begin at, as a model served from then on would.

    Args:
        time: (N,) int64, of behaviours.
        place: (S,) int64, which of them are samples.
        cut_at: the cut in the same unit.
        cut: the same for people.

    Raises:
        InputError: a part has no samples.
    """
    when = time[place]
    in_train = when < cut_at
    if not in_train.any() or in_train.all():
        raise InputError(
            f"The split at {cut.isoformat()} leaves {in_train.sum()} ratings to train and {(~in_train).sum()} to test: "
            "load more behaviours or change LIBER_TRAIN_SHARE. Behaviours without a rating count where the domain pack "
            "(LIBER_DOMAIN) has a table [feedback]."
        )
    validation_at = samples.tail_cut(when[in_train], VALIDATION_SHARE)
    part = np.where(in_train, np.where(when < validation_at, FIT, VALIDATION), TEST)
    if not (part == FIT).any():
        raise InputError("All training ratings have the same time: there is nothing left to validate with.")
    moments = np.unique(np.concatenate([_spread(when[part == FIT]), [validation_at, cut_at]]))
    return Parts(part, time < validation_at, moments, np.searchsorted(moments, when, side="right") - 1)


def by_users(time: np.ndarray, user: np.ndarray, place: np.ndarray, user_ids: Sequence[str], fold: Fold) -> Parts:
    """The users of a fold test, a tenth of the others validates; what a sample reads lies before it all the same.

    Args:
        time, place: as in `by_time`.
        user: (N,) int64, rows of the users, from 1.
        user_ids: of the rows from 1.
        fold: which users test.

    Raises:
        InputError: a part has no samples.
    """
    drawn = np.array([0, *(int.from_bytes(hashlib.sha256(each.encode()).digest()[:6]) for each in user_ids)])
    of_user = np.where(drawn % fold.of == fold.number, TEST, FIT)
    trains = np.flatnonzero((of_user == FIT) & np.isin(np.arange(len(drawn)), user[place]))
    validates = trains[np.argsort(drawn[trains])][: max(1, round(VALIDATION_SHARE * len(trains)))]
    of_user[validates] = VALIDATION
    part = of_user[user[place]]
    if len(np.unique(part)) < 3:
        raise InputError(
            f"Fold {fold.number + 1} of {fold.of} leaves a part of the users without one: load more users."
        )
    when = time[place]
    moments = np.unique(_spread(when))
    return Parts(part, of_user[user] == FIT, moments, np.searchsorted(moments, when, side="right") - 1)


def _spread(time: np.ndarray) -> np.ndarray:
    ordered = np.sort(time)
    return ordered[np.linspace(0, len(ordered) - 1, SNAPSHOTS).astype(np.int64)]
