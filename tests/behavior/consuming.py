"""What the tests of the stream consumer do all the time."""

import json
from typing import Any

from sqlalchemy import Engine, text

from liber_tasks.behavior.consume import ConsumeReport, consume
from liber_tasks.config import Settings
from tests.behavior import state
from tests.behavior.brokers import KafkaFeed, RedisFeed
from tests.behavior.files import behavior


def drained(engine: Engine, settings: Settings, feed: KafkaFeed | RedisFeed, **options: Any) -> ConsumeReport:
    """Consume to the end of what was sent."""
    return consume(engine, settings, feed.url, **{"until_idle": 0, "wait": 0.02, **options})


def encoded(rows: list[Any]) -> list[bytes]:
    """Rows as messages; a text is sent as it is."""
    return [(row if isinstance(row, str) else json.dumps(row)).encode() for row in rows]


def emptied(engine: Engine) -> None:
    """A database as if nothing was ever read."""
    with engine.begin() as connection:
        tables = ("ingest_file", "user_profile", "item", "behavior", "user_stream")
        connection.execute(text(f"TRUNCATE {', '.join(f'liber.{name}' for name in tables)} CASCADE"))


def content(engine: Engine) -> dict[str, Any]:
    """What was stored, without the names of sources."""
    found = state.everything(engine)
    found["rejected"] = [row[1:] for row in found["rejected"]]
    return {name: found[name] for name in ("stream", "cursors", "rejected")}


def counts(engine: Engine) -> tuple[int, ...]:
    """Rows read, accepted, duplicates, rejected, over all streams."""
    return state.rows(
        engine,
        "SELECT sum(rows_read)::int, sum(accepted)::int, sum(duplicates)::int, sum(rejected)::int"
        " FROM liber.ingest_file",
    )[0]


def numbered(first: int, last: int) -> list[bytes]:
    """Good messages of five users."""
    return encoded([behavior(n, user_id=f"u{n % 5}") for n in range(first, last)])


def stored(engine: Engine) -> list[int]:
    """Numbers of the events, sorted."""
    return sorted(int(row[2][1:]) for row in state.stream(engine))
