"""Streams of behaviours for the tests: events to files, and what lies in the database back to events."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from tests.behavior import state
from tests.behavior.files import write_jsonl
from tests.partition.oracle import Event


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


def partitions(engine: Engine, user: str) -> tuple[list[list[str]], list[int]]:
    """Event ids of a user's partitions in order, as readers see them, and when each was sealed."""
    members: dict[int, list[str]] = {}
    sealed: dict[int, int] = {}
    found = state.rows(
        engine,
        "SELECT partition_no, event_id, sealed_at, reason FROM liber.partition_event"
        " WHERE user_id = :user ORDER BY partition_no, position",
        user=user,
    )
    for number, event_id, sealed_at, reason in found:
        assert reason == "count"
        members.setdefault(number, []).append(event_id)
        sealed[number] = int(sealed_at.timestamp())
    assert list(members) == list(range(1, len(members) + 1))
    return list(members.values()), list(sealed.values())
