"""What was counted last, and when to count anew."""

import json
import logging
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from liber_tasks.config import Settings
from liber_tasks.db import query
from liber_tasks.status.count import count
from liber_tasks.status.state import State, from_dict

CHEAP = 1.0  # seconds; what is counted within them is always counted anew
SHARE = 20  # counting takes at most one part in so many of the time
_log = logging.getLogger("liber.status")


def stored(engine: Engine) -> State | None:
    """What was counted last; None: nothing yet."""
    with engine.connect() as connection:
        found = connection.execute(query("status/stored")).scalar_one_or_none()
    return None if found is None else from_dict(found)


def current(engine: Engine, settings: Settings) -> State:
    """The state now where that is counted within a second, else what was counted last."""
    found = stored(engine)
    return refresh(engine, settings) if found is None or found.seconds <= CHEAP else found


def refresh(engine: Engine, settings: Settings) -> State:
    """Count now, and keep the result and the hours' throughput where this role may write.

    One counts at a time: who finds another at it waits for nothing and keeps nothing.
    """
    with engine.connect() as connection:
        claim = connection.execute(query("status/claim")).one()
        found = count(connection, settings)
        if claim.may_store and connection.execute(query("status/lock")).scalar_one():
            connection.execute(query("status/store_hours"), {"since": claim.since})
            values = {"counted_at": found.counted_at, "seconds": found.seconds, "result": json.dumps(found.to_dict())}
            connection.execute(query("status/store"), values)
            connection.commit()
    return found


def is_due(found: State | None, interval: float, now: datetime | None = None) -> bool:
    """Whether to count again: after `interval` seconds, and so that counting takes a small part of the time."""
    if found is None:
        return True
    return (now or datetime.now(UTC)) - found.counted_at >= timedelta(seconds=max(interval, SHARE * found.seconds))


def keep_fresh(engine: Engine, settings: Settings) -> None:
    """After a stage's work: count anew if that is due; to watch a run must never fail it."""
    try:
        if is_due(stored(engine), settings.status_interval):
            refresh(engine, settings)
    except DBAPIError as error:
        _log.warning("The pipeline's state was not counted: %s", str(error.orig).strip().splitlines()[0])
