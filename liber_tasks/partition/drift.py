"""Interest drift over item embeddings: the model-based partition condition (paper, section 3.2), off by default.

Two windows of behaviours follow each other along the stream. Where the mean vectors of what they are about part, the
interest has moved, and the cache is asked to close between them. The model writes requests (`partition_cut`); sealing
decides what becomes of them, as with any other model's.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from sqlalchemy import Connection

from liber_tasks.binary_copy import copy_columns
from liber_tasks.db import query
from liber_tasks.errors import InputError, LiberError

WINDOW = 5
# MovieLens-100K, training behaviours, WINDOW = 5 (`python -m tests.bench drift`): the similarity lies below 0.65 in
# 0.6 % of places and crosses it once in 246 behaviours, 2.7 times as often as in the same streams shuffled. 0.70 is
# crossed once in 57, hardly more often than by chance (1.3 times): more cuts, and most of them noise.
THRESHOLD = 0.65
LONGEST_WINDOW = 1_000

USERS_A_READ = 500
BEHAVIORS_A_PIECE = 8_192  # bounds the memory: some 100 MB of vectors of 384 numbers, whatever the stream's length
_GRID = 65_536.0  # unit vectors are rounded to multiples of 1 / _GRID


class Crossing(NamedTuple):
    """The interest has moved."""

    decided: int  # row of the behaviour that showed it
    last: int  # row of the last behaviour of the old interest
    similarity: float  # of the windows on both sides, -1 to 1, below the threshold


def similarities(vectors: np.ndarray, has_vector: np.ndarray, window: int) -> np.ndarray:
    """Cosine of the mean vectors of two windows that follow each other.

    With unit vectors u, sim(s) = cos(mean(u[s-2w+1 .. s-w]), mean(u[s-w+1 .. s])).

    The result for a row depends on its 2w rows alone, to the last bit: unit vectors are rounded to a grid so coarse
    that every sum of their products is an exact float64, in whatever order it is added up. So it does not matter where
    a stream is cut into pieces. The grid moves a similarity by some 1e-6.

    Args:
        vectors: float32 (n, d), a row a behaviour in order.
        has_vector: bool (n,); False: the row's vector is unknown. A zero vector, which has no direction, is the same.
        window: w, 1 to 1000.

    Returns:
        float64 (n,); nan where a vector is unknown, where fewer than 2w rows lie behind, or where a mean is zero.

    Raises:
        InputError: the window is out of bounds.
    """
    if not 1 <= window <= LONGEST_WINDOW:
        raise InputError(f"window == {window}, must be from 1 to {LONGEST_WINDOW}.")
    found = np.full(len(vectors), np.nan)
    if len(vectors) < 2 * window:
        return found
    exact = np.array(vectors, np.float64, order="C")
    lengths = np.sqrt((exact * exact).sum(axis=1))
    known = has_vector & (lengths > 0)
    exact /= np.where(known, lengths, 1)[:, None]
    exact *= _GRID
    np.rint(exact, out=exact)
    exact[~known] = 0
    sums = _windows(exact, window)
    before, after = sums[:-window], sums[window:]
    norms = np.sqrt(_dots(before, before) * _dots(after, after))
    whole = (_windows((~known).astype(np.int64), 2 * window) == 0) & (norms > 0)
    found[2 * window - 1 :] = np.divide(_dots(before, after), norms, out=np.full(len(norms), np.nan), where=whole)
    return found


def down_crossings(vectors: np.ndarray, has_vector: np.ndarray, window: int, threshold: float) -> list[Crossing]:
    """Where the similarity of neighbouring windows falls below the threshold.

    A decision falls at s if sim(s) < threshold <= sim(s-1), both known: one drift is one decision. The old interest
    ends with s-w. Stateless: a decision depends on the rows s-2w to s.

    Args:
        vectors: float32 (n, d), as for `similarities`.
        has_vector: bool (n,).
        window: w.
        threshold: above -1, at most 1.

    Returns:
        Decisions in order; rows count from 0.

    Raises:
        InputError: window or threshold is out of bounds.
    """
    if not -1 < threshold <= 1:
        raise InputError(f"threshold == {threshold}, must be above -1 and at most 1.")
    found = similarities(vectors, has_vector, window)
    rows = np.flatnonzero((found[1:] < threshold) & (found[:-1] >= threshold)) + 1  # nan compares as False
    return [Crossing(int(row), int(row) - window, float(found[row])) for row in rows]


def item_encoder(connection: Connection) -> str:
    """The encoder whose item vectors were written last.

    Raises:
        LiberError: there is no item vector.
    """
    version = connection.execute(query("partition/drift_encoder")).scalar_one_or_none()
    if version is None:
        raise LiberError("No item vectors: run `liber encode --items` before sealing with the drift model.")
    return str(version)


def request_drift_cuts(
    connection: Connection,
    user_keys: Sequence[int],
    *,
    window: int = WINDOW,
    threshold: float = THRESHOLD,
    encoder_version: str | None = None,
) -> int:
    """Request a cut wherever the interest has drifted inside a cache.

    What was requested before stays. No watermark: a decision depends on behaviours up to its own and counts once the
    seal sees that one. The caller's transaction holds the locks on the users' streams; nothing is committed here.

    Args:
        connection: open connection inside a transaction.
        user_keys: users to look at.
        window: behaviours on each side.
        threshold: similarity below which the interest has moved.
        encoder_version: of the item vectors; None: the one written last.

    Returns:
        New requests.

    Raises:
        InputError: window or threshold is out of bounds.
        LiberError: no `encoder_version` is given and there is no item vector.
    """
    version = item_encoder(connection) if encoder_version is None else encoder_version
    model = f"drift/{window}/{threshold:g}/{version}"
    requested = 0
    for start in range(0, len(user_keys), USERS_A_READ):
        rows = copy_columns(
            connection, "partition/drift_behaviors",
            {"user_key": ">i8", "seq": ">i8", "item_key": ">i8"},
            # a cut after the cache's first behaviour is decided `window` later, from 2 * window before that on
            {"users": [int(key) for key in user_keys[start : start + USERS_A_READ]], "reach": window},
        )  # fmt: skip
        cuts = list(_decide(connection, rows, window, threshold, version))
        if cuts:
            users, decided, lasts, scores = (list(column) for column in zip(*cuts, strict=True))
            parameters = {"users": users, "decided": decided, "lasts": lasts, "scores": scores, "model": model}
            requested += connection.execute(query("partition/request_cuts"), parameters).one().requested
    return requested


def _decide(
    connection: Connection, rows: dict[str, np.ndarray], window: int, threshold: float, version: str
) -> Iterator[tuple[int, int, int, float]]:
    """user_key, decided seq, last seq and similarity of each decision in some users' behaviours, ordered by user."""
    users, seqs, items = rows["user_key"], rows["seq"], rows["item_key"]
    # A row without a vector between any two users, so that no window reaches from one into the next.
    place = np.arange(len(users)) + np.concatenate([[0], np.cumsum(users[1:] != users[:-1])])[: len(users)]
    line = np.full(int(place[-1]) + 1 if len(place) else 0, -1)
    line[place] = np.arange(len(users))
    for start in range(0, len(line), BEHAVIORS_A_PIECE):
        piece = line[
            max(start - 2 * window, 0) : start + BEHAVIORS_A_PIECE
        ]  # the first decision possible is at `start`
        is_behavior = piece >= 0
        vectors, has_vector = _vectors(connection, items[piece], is_behavior, version)
        for crossing in down_crossings(vectors, has_vector, window, threshold):
            row = piece[crossing.decided]
            yield int(users[row]), int(seqs[row]), int(seqs[row]) - window, crossing.similarity


def _vectors(
    connection: Connection, items: np.ndarray, wanted: np.ndarray, version: str
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors float32 (n, d) of items (n,), and bool (n,) which of those wanted have one."""
    keys = np.unique(items[wanted])
    parameters = {"encoder_version": version, "items": keys.tolist()}
    dimension = connection.execute(query("partition/drift_dimension"), parameters).scalar_one()
    if dimension is None:
        return np.zeros((len(items), 1), np.float32), np.zeros(len(items), bool)
    fields = {"item_key": ">i8", "vector": f"vector{dimension}"}
    found = copy_columns(connection, "partition/drift_vectors", fields, parameters)
    order = np.argsort(found["item_key"])
    known = found["item_key"][order]
    at = np.minimum(np.searchsorted(known, items), len(known) - 1)
    return found["vector"][order][at], wanted & (known[at] == items)


def _windows(rows: np.ndarray, window: int) -> np.ndarray:
    """Sums of each `window` neighbouring rows, (n - window + 1, ...)."""
    total = np.cumsum(rows, axis=0)
    sums = total[window - 1 :].copy()
    sums[1:] -= total[:-window]
    return sums


def _dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", a, b)
