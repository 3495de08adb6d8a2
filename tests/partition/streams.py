"""Streams of behaviours for the tests: events to files, and what lies in the database back to events."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from liber_tasks.partition.rules import PartitionRule
from tests.behavior import state
from tests.behavior.files import write_jsonl
from tests.partition.oracle import Event, Partition, Rule


def moment(seconds: int) -> datetime:
    """Epoch seconds as a time with zone."""
    return datetime.fromtimestamp(seconds, UTC)


def write(path: Path, batch: Mapping[str, Iterable[Event]]) -> Path:
    """One file with the events of several users."""
    return write_jsonl(
        path,
        (
            {"event_id": e.event_id, "user_id": user, "item_id": "i", "event_time": e.time, "kind": "play"}
            for user, events in batch.items()
            for e in events
        ),
    )


def arrived(engine: Engine, user: str) -> list[tuple[Event, int]]:
    """Events and effective times of a user, in order of seq."""
    return [
        (Event(row[2], int(row[4].timestamp())), int(row[5].timestamp()))
        for row in state.stream(engine)
        if row[0] == user
    ]


def partitions(engine: Engine, *users: str) -> dict[str, list[Partition]]:
    """Partitions of each user in order, as readers see them."""
    members: dict[tuple[str, int], list[str]] = {}
    described: dict[tuple[str, int], tuple[str, int]] = {}
    found = state.rows(
        engine,
        "SELECT user_id, partition_no, event_id, reason, sealed_at FROM liber.partition_event"
        " WHERE user_id = ANY(:users) ORDER BY user_id, partition_no, position",
        users=list(users),
    )
    for user, number, event_id, reason, sealed_at in found:
        members.setdefault((user, number), []).append(event_id)
        described[user, number] = (reason, int(sealed_at.timestamp()))
    result: dict[str, list[Partition]] = {user: [] for user in users}
    for (user, number), names in members.items():
        assert number == len(result[user]) + 1, "partition numbers are dense, from 1"
        result[user].append(Partition(tuple(names), *described[user, number]))
    return result


def as_rule(rule: Rule) -> PartitionRule:
    """The oracle's rule in the product's words."""
    return PartitionRule(
        k=rule.k,
        gap=None if rule.gap is None else timedelta(seconds=rule.gap),
        max_age=None if rule.max_age is None else timedelta(seconds=rule.max_age),
        min_events=rule.min_events,
        model="requested" if rule.model else None,
    )
