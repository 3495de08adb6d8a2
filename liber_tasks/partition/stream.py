"""Sealing: caches of the behaviour stream become partitions (paper, section 3.2, Algorithm 1).

The cache of a user is a range of `seq`, and a sealed partition is one too: sealing writes the partition and moves
the start of the cache. No behaviour row is touched, and streams that cannot have anything to seal are not even read.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine

from liber_tasks import logs
from liber_tasks.binary_copy import copy_columns
from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.types import Progress, Shard, silent

_log = logging.getLogger("liber.seal")
USERS_A_TRANSACTION = 5_000
BEHAVIORS_A_TRANSACTION = 500_000  # a user with more is a transaction of its own


@dataclass(frozen=True)
class SealReport:
    """What a call of `seal` came to."""

    partitions: int = 0  # sealed now
    behaviors: int = 0  # inside them
    reasons: dict[str, int] = field(default_factory=dict)  # count, gap, age, model -> partitions


def seal(
    engine: Engine,
    rule: PartitionRule,
    watermark: datetime,
    *,
    users: Sequence[str] | None = None,
    shard: Shard | None = None,
    progress: Progress = silent,
) -> SealReport:
    """Seal every cache for which a condition of the rule holds.

    Users are sealed in batches, each in one transaction, so that a stopped run keeps what it has done and the
    next one goes on. Sealed partitions never change, whatever arrives later; another rule holds for what is not
    sealed yet.

    Args:
        engine: LIBER database.
        rule: when a cache is full.
        watermark: event time, with a zone, up to which the streams are taken to be complete: behaviours with a later
            effective time do not count yet, and idle caches are judged by it.
        users: ids of the users to seal; None: all.
        shard: seal this part of the users only; None: all.
        progress: told how many users are done.

    Returns:
        Counts of what was sealed now.

    Raises:
        InputError: the watermark has no time zone, or a user is unknown.
        LiberError: the drift model has no item vectors to look at.
        ServiceUnavailable: the database cannot be reached.
    """
    if watermark.tzinfo is None:
        raise InputError(f"watermark == {watermark.isoformat()} has no time zone: append one, such as +00:00.")
    part = shard or Shard()
    parameters = _parameters(rule, watermark)
    partitions = behaviors = done = 0
    reasons: dict[str, int] = {}
    with database_errors(), logs.stage("seal", shard=shard and str(shard)):
        parameters |= {"users": None if users is None else _keys(engine, users)}
        with engine.connect() as connection:
            due = copy_columns(
                connection,
                "partition/due_by_count" if rule.by_count_alone else "partition/due_by_time",
                {"user_key": ">i8", "cached": ">i8"},
                parameters | {"shard": part.number, "shards": part.of},
            )
        for batch in _batches(due["user_key"], due["cached"]):
            with engine.begin() as connection:
                for row in _seal_batch(connection, rule, parameters | {"users": batch.tolist()}):
                    partitions += row.partitions
                    behaviors += row.behaviors
                    reasons[row.reason] = reasons.get(row.reason, 0) + row.partitions
            with logs.bound(first_user_key=int(batch.min()), last_user_key=int(batch.max())):
                _log.info("%d users", len(batch))
            done += len(batch)
            progress(done, len(due["user_key"]), "seal users")
    return SealReport(partitions, behaviors, dict(sorted(reasons.items())))


def _seal_batch(connection: Connection, rule: PartitionRule, parameters: dict[str, Any]) -> Sequence[Any]:
    """Seal some users inside a transaction; one row a reason."""
    connection.execute(query("partition/lock_streams"), parameters)
    if rule.model == "drift":
        from liber_tasks.partition.drift import request_drift_cuts

        request_drift_cuts(connection, parameters["users"])
    statement = "partition/seal_count" if rule.by_count_alone else "partition/seal_bounds"
    return connection.execute(query(statement), parameters).all()


def _parameters(rule: PartitionRule, watermark: datetime) -> dict[str, Any]:
    """The rule as the statements take it: durations in seconds, so that a day is 24 hours in any time zone."""
    return {
        "rule": rule.digest,
        "k": rule.k,
        "gap": None if rule.gap is None else rule.gap.total_seconds(),
        "max_age": None if rule.max_age is None else rule.max_age.total_seconds(),
        "min_events": rule.min_events,
        "model": rule.model is not None,
        "watermark": watermark,
    }


def _batches(keys: np.ndarray, cached: np.ndarray) -> Iterator[np.ndarray]:
    """Users in order, as many at a time as the bounds of a transaction allow."""
    start = 0
    before = np.concatenate([[0], np.cumsum(cached)])
    while start < len(keys):
        within = int(np.searchsorted(before, before[start] + BEHAVIORS_A_TRANSACTION, side="right")) - 1
        stop = min(max(within, start + 1), start + USERS_A_TRANSACTION)
        yield keys[start:stop]
        start = stop


def _keys(engine: Engine, users: Sequence[str]) -> list[int]:
    """Keys of user ids. Raises InputError for the first one that is unknown."""
    with engine.connect() as connection:
        found = {row.user_id: row.user_key for row in connection.execute(query("partition/keys"), {"users": [*users]})}
    for user in users:
        if user not in found:
            raise InputError(f"User {user!r} is unknown: ingest the user's behaviours first, or check the id.")
    return sorted(found.values())
