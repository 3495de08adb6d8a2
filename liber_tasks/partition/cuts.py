"""Cut points that a model asks for: the model-based partition condition (paper, section 3.2) for any model.

A request says: when the behaviour `decided` had joined the cache, the cache was to be closed after the behaviour
`event`; what came between the two stays in the cache. Sealed partitions never change.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError

CUTS_A_STATEMENT = 10_000


@dataclass(frozen=True)
class Cut:
    """One request."""

    user_id: str
    event_id: str  # of the behaviour that closes the partition
    decided_event_id: str | None = None  # of the behaviour that made the model decide; None: the closing one
    score: float | None = None  # the model's own, kept beside the request


@dataclass(frozen=True)
class CutReport:
    """What became of the requests."""

    requested: int  # kept: the next seal with a model-based rule looks at them
    repeated: int  # a request at the same deciding behaviour was there already, and holds
    sealed: int  # came too late: the behaviour lies in a sealed partition


def request_cuts(engine: Engine, cuts: Sequence[Cut], model: str) -> CutReport:
    """Store the cut points that a model asks for, all or none of them.

    Args:
        engine: LIBER database.
        cuts: requests in any order; of several at one deciding behaviour the first holds.
        model: name and version of the model, kept with each request.

    Returns:
        How many were kept, repeated and too late.

    Raises:
        InputError: a user or an event is unknown, an event decides on a later one, or the model has no name.
        ServiceUnavailable: the database cannot be reached.
    """
    if not model.strip():
        raise InputError("model == '': name the model that asks for the cuts, with its version.")
    requested = sealed = 0
    with database_errors(), engine.begin() as connection:
        placed = []
        for start in range(0, len(cuts), CUTS_A_STATEMENT):
            placed += _places(connection, cuts[start : start + CUTS_A_STATEMENT])
        connection.execute(query("partition/lock_streams"), {"users": sorted({user for user, _, _, _ in placed})})
        for start in range(0, len(placed), CUTS_A_STATEMENT):
            batch = placed[start : start + CUTS_A_STATEMENT]
            users, decided, lasts, scores = (list(column) for column in zip(*batch, strict=True))
            parameters = {"users": users, "decided": decided, "lasts": lasts, "scores": scores, "model": model}
            row = connection.execute(query("partition/request_cuts"), parameters).one()
            requested += row.requested
            sealed += row.sealed
    return CutReport(requested, len(cuts) - requested - sealed, sealed)


def _places(connection: Connection, cuts: Sequence[Cut]) -> list[tuple[int, int, int, float | None]]:
    """user_key, decided seq, last seq and score of each cut. Raises InputError for the first that has no place."""
    named = {
        "users": [cut.user_id for cut in cuts],
        "events": [cut.event_id for cut in cuts],
        "decided": [cut.event_id if cut.decided_event_id is None else cut.decided_event_id for cut in cuts],
    }
    placed = []
    for cut, place in zip(cuts, connection.execute(query("partition/cut_events"), named), strict=True):
        if place.user_key is None:
            raise InputError(f"User {cut.user_id!r} is unknown: ingest the user's behaviours first, or check the id.")
        for event, seq in ((cut.event_id, place.last_seq), (cut.decided_event_id, place.decided_seq)):
            if seq is None:
                raise InputError(f"User {cut.user_id!r} has no event {event!r}: ingest it first, or check the id.")
        if place.decided_seq < place.last_seq:
            raise InputError(
                f"User {cut.user_id!r}: event {cut.decided_event_id!r} cannot decide to cut after {cut.event_id!r}, "
                "which came later: give the deciding event second."
            )
        placed.append((place.user_key, place.decided_seq, place.last_seq, cut.score))
    return placed
