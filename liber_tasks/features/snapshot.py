"""What all users together had done with items before a moment: how items were rated, and pairs of items."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from scipy import sparse

from liber_tasks.features.responses import disliked, liked, rated, stars

PRIOR_ITEM = 5.0  # ratings of the average item that are added to an item's own
PRIOR_MEAN = 3.5  # stars, of `PRIOR_ITEM` ratings that are added to all there are
_PARTS = ("data", "indices", "indptr")
_COUNTS = ("rated", "liked", "stars")


@dataclass(frozen=True)
class Snapshot:
    """Counts over rated behaviours, by row of the catalogue.

    Attributes:
        rated: (C,) float64, ratings of an item.
        liked: (C,) float64, those of a positive sample.
        stars: (C,) float64, their sum.
        with_disliked, with_liked: (C, C); [h, c] is the number of users who disliked, liked h and also rated c.
        liked_with_disliked, liked_with_liked: likewise; users who liked c.
        products: (C, C); [h, c] is the sum over users who rated both of surprise at h times surprise at c.
        squares: (C, C); likewise, of the square of the surprise at h.
    """

    rated: np.ndarray
    liked: np.ndarray
    stars: np.ndarray
    with_disliked: sparse.csr_array
    with_liked: sparse.csr_array
    liked_with_disliked: sparse.csr_array
    liked_with_liked: sparse.csr_array
    products: sparse.csr_array
    squares: sparse.csr_array

    @classmethod
    def empty(cls, items: int) -> "Snapshot":
        """Before anything had happened."""
        return cls(*(np.zeros(items) for _ in _COUNTS), *(sparse.csr_array((items, items)) for _ in matrices()))

    def mean(self) -> float:
        """Mean of all ratings in stars, shrunk."""
        return float((self.stars.sum() + PRIOR_MEAN * PRIOR_ITEM) / (self.rated.sum() + PRIOR_ITEM))

    def deviation(self, item: np.ndarray) -> np.ndarray:
        """Mean rating of items less that of all, in stars, shrunk; (n,) float64."""
        return (self.stars[item] - self.mean() * self.rated[item]) / (self.rated[item] + PRIOR_ITEM)

    def like_share(self, item: np.ndarray) -> np.ndarray:
        """Share of items' ratings that liked them, shrunk towards that of all; (n,) float64 within (0, 1)."""
        overall = (self.liked.sum() + 1) / (self.rated.sum() + 2)
        return (self.liked[item] + PRIOR_ITEM * overall) / (self.rated[item] + PRIOR_ITEM)

    def to_bytes(self) -> bytes:
        """npz without pickle."""
        arrays = {name: getattr(self, name) for name in _COUNTS}
        for name in matrices():
            arrays |= {f"{name}_{part}": _narrow(getattr(getattr(self, name), part)) for part in _PARTS}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Snapshot":
        """Read what `to_bytes` wrote."""
        with np.load(io.BytesIO(stored), allow_pickle=False) as arrays:
            items = len(arrays["rated"])
            counts = [arrays[name] for name in _COUNTS]
            found = [
                sparse.csr_array(tuple(arrays[f"{name}_{part}"] for part in _PARTS), shape=(items, items), dtype=float)
                for name in matrices()
            ]
        return cls(*counts, *found)


def matrices() -> tuple[str, ...]:
    """Names of a snapshot's sparse matrices."""
    return tuple(field.name for field in fields(Snapshot) if field.name not in _COUNTS)


def snapshots(
    user: np.ndarray,
    item: np.ndarray,
    response: np.ndarray,
    time: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    moments: Sequence[int],
    items: int,
    *,
    pairs: bool = True,
) -> list[Snapshot]:
    """The snapshot of each moment: of the ratings strictly before it.

    A rating's *surprise* is what it exceeds the rule "item's mean plus user's deviation" by, in stars, as known at the
    latest moment not after it: it is taken once and never changes.

    Args:
        user, item: (N,) int64, rows of users and catalogue; a user rates an item once or more, each counts.
        response: (N,) int64, as in `Batch.entry_response`; one without a rating counts nowhere.
        time: (N,) int64.
        start, end: (N,) int64, each behaviour's history among all: those of its user that are strictly earlier.
        moments: ascending.
        items: C, rows of the catalogue.
        pairs: False leaves the pairs uncounted, by far the largest part.

    Returns:
        One a moment. A pair counts in both orders: what a user does in one sitting has no order worth keeping.
    """
    from liber_tasks.features.statistics import USUAL, deviation

    users = int(user.max()) + 1 if len(user) else 0
    real = rated(response)
    order = np.argsort(time, kind="stable")
    sorted_time = time[order]
    bounds = [0, *np.searchsorted(sorted_time, list(moments), side="left").tolist()]
    surprise = np.zeros(len(user))
    found, state, past = list[Snapshot](), Snapshot.empty(items), _Ratings.none(users, items)
    for number, (first, last) in enumerate(pairwise(bounds)):
        now = order[first:last]
        now = now[real[now]]
        if pairs and number:  # before the first moment nothing was known that could surprise
            usual = deviation(state, response, item, start[now], end[now], USUAL)
            surprise[now] = stars(response[now]) - state.mean() - state.deviation(item[now]) - usual
        new = _Ratings.of(user[now], item[now], response[now], surprise[now], users, items)
        state = _later(state, past, new, pairs)
        past = past.plus(new)
        found.append(state)
    return found


@dataclass(frozen=True)
class _Ratings:
    """Ratings as (users, items) matrices of sums."""

    disliked: sparse.csr_array
    liked: sparse.csr_array
    stars: sparse.csr_array
    surprise: sparse.csr_array
    square: sparse.csr_array

    @classmethod
    def of(
        cls, user: np.ndarray, item: np.ndarray, response: np.ndarray, surprise: np.ndarray, users: int, items: int
    ) -> "_Ratings":
        columns = (disliked(response), liked(response), stars(response), surprise, surprise**2)
        place, shape = (user, item), (users, items)
        return cls(*(sparse.csr_array((values.astype(float), place), shape=shape) for values in columns))

    @classmethod
    def none(cls, users: int, items: int) -> "_Ratings":
        return cls(*(sparse.csr_array((users, items)) for _ in fields(cls)))

    @property
    def rated(self) -> sparse.csr_array:
        return self.disliked + self.liked

    def plus(self, other: "_Ratings") -> "_Ratings":
        return _Ratings(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def _later(state: Snapshot, past: _Ratings, new: _Ratings, pairs: bool) -> Snapshot:
    """A snapshot after `new` ratings on top of `past` ones."""
    counts = (
        state.rated + new.rated.sum(axis=0), state.liked + new.liked.sum(axis=0), state.stars + new.stars.sum(axis=0)
    )  # fmt: skip
    if not pairs:
        return Snapshot(*counts, *(getattr(state, name) for name in matrices()))

    def grown(matrix: sparse.csr_array, h: str, c: str) -> sparse.csr_array:
        was, came = getattr(past, c), getattr(new, c)
        change = getattr(new, h).T @ (was + came) + getattr(past, h).T @ came
        return sparse.csr_array(matrix + change)

    return Snapshot(
        *counts,
        with_disliked=grown(state.with_disliked, "disliked", "rated"),
        with_liked=grown(state.with_liked, "liked", "rated"),
        liked_with_disliked=grown(state.liked_with_disliked, "disliked", "liked"),
        liked_with_liked=grown(state.liked_with_liked, "liked", "liked"),
        products=grown(state.products, "surprise", "surprise"),
        squares=grown(state.squares, "square", "rated"),
    )


def _narrow(array: np.ndarray) -> np.ndarray:
    """Sums and places fit in 32 bits."""
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int32)
