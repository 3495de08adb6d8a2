"""Sealing: full caches of the behaviour stream become partitions (paper, section 3.2, Algorithm 1).

The cache of a user is a range of `seq`, and a sealed partition is one too: sealing writes the partition and moves
the start of the cache. No behaviour row is touched, and users with less than a full cache are not even read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.types import Progress, silent

USERS_A_TRANSACTION = 5_000


@dataclass(frozen=True)
class SealReport:
    """What a call of `seal` came to."""

    partitions: int  # sealed now
    behaviors: int  # inside them
    cached: int  # behaviours still in the caches of all users, or of the users asked for


def seal(
    engine: Engine,
    rule: PartitionRule,
    watermark: datetime,
    *,
    users: Sequence[str] | None = None,
    progress: Progress = silent,
) -> SealReport:
    """Seal every full cache.

    Users are sealed in batches, each in one transaction, so that a stopped run keeps what it has done and the
    next one goes on. Sealed partitions never change, whatever arrives later.

    Args:
        engine: LIBER database.
        rule: when a cache is full.
        watermark: behaviours with an effective time after it do not count yet; with a time zone.
        users: ids of the users to seal; None: all.
        progress: told how many users are done.

    Returns:
        Counts of what was sealed now and what stays in the caches.

    Raises:
        InputError: the watermark has no time zone, or a user is unknown.
        ServiceUnavailable: the database cannot be reached.
    """
    if watermark.tzinfo is None:
        raise InputError(f"watermark == {watermark.isoformat()} has no time zone: append one, such as +00:00.")
    with database_errors():
        keys = None if users is None else _keys(engine, users)
        with engine.connect() as connection:
            due = connection.execute(query("partition/due"), {"k": rule.k, "users": keys}).scalars().all()
        partitions = 0
        for start in range(0, len(due), USERS_A_TRANSACTION):
            batch = list(due[start : start + USERS_A_TRANSACTION])
            with engine.begin() as connection:
                connection.execute(query("partition/lock_streams"), {"users": batch})
                partitions += connection.execute(
                    query("partition/seal_count"), {"k": rule.k, "users": batch, "watermark": watermark}
                ).scalar_one()
            progress(start + len(batch), len(due), "seal users")
        with engine.connect() as connection:
            cached = connection.execute(query("partition/cached"), {"users": keys}).scalar_one()
    return SealReport(partitions, partitions * rule.k, cached)


def _keys(engine: Engine, users: Sequence[str]) -> list[int]:
    """Keys of user ids. Raises InputError for the first one that is unknown."""
    with engine.connect() as connection:
        found = {row.user_id: row.user_key for row in connection.execute(query("partition/keys"), {"users": [*users]})}
    for user in users:
        if user not in found:
            raise InputError(f"User {user!r} is unknown: ingest the user's behaviours first, or check the id.")
    return sorted(found.values())
