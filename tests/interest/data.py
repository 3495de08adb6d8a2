"""Input tables as ingest and seal leave them, written plainly."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, text

START = datetime(2020, 1, 1, tzinfo=UTC)
TITLES = ("Blade Runner", "Fargo", "Alien", "Toy Story", "Casablanca", "Heat")
GENRES = ("Drama", "Comedy", "Horror")


def add_user(
    engine: Engine,
    user_id: str,
    partitions: int,
    *,
    size: int = 3,
    titles: Sequence[str] = TITLES,
    attributes: Mapping[str, Any] | None = None,
    day: int = 0,
) -> int:
    """A user with sealed partitions of ratings, the last one sealed `day` days after `START`; returns the key."""
    profile = {"gender": "F", "age": 30, "occupation": f"artist {user_id}"} if attributes is None else attributes
    with engine.begin() as connection:
        user_key = connection.execute(
            text("INSERT INTO liber.user_profile (user_id, attributes) VALUES (:id, :a) RETURNING user_key"),
            {"id": user_id, "a": json.dumps(profile)},
        ).scalar_one()
        for number in range(1, partitions + 1):
            sealed = START + timedelta(days=day, hours=number - partitions)
            for place in range(size):
                seq = (number - 1) * size + place + 1
                title = titles[(seq - 1) % len(titles)]
                connection.execute(
                    text(
                        "INSERT INTO liber.item (item_id, title, attributes) VALUES (:id, :title, :a)"
                        " ON CONFLICT (item_id) DO NOTHING"
                    ),
                    {"id": title[:50] or "none", "title": title,
                     "a": json.dumps({"year": 1980 + seq, "genres": [GENRES[seq % 3]]})},
                )  # fmt: skip
                connection.execute(
                    text(
                        "INSERT INTO liber.behavior"
                        " (user_key, seq, item_key, event_time, effective_time, rating, kind, event_id)"
                        " SELECT :u, :seq, item_key, :t, :t, :rating, 'rating', :event"
                        " FROM liber.item WHERE item_id = :id"
                    ),
                    {"u": user_key, "seq": seq, "t": sealed, "rating": 1 + seq % 5, "event": f"{user_id}-{seq}",
                     "id": title[:50] or "none"},
                )  # fmt: skip
            connection.execute(
                text(
                    "INSERT INTO liber.behavior_partition"
                    " (user_key, partition_no, first_seq, last_seq, n_behaviors, started_at, ended_at, sealed_at,"
                    "  reason) VALUES (:u, :p, :first, :last, :n, :t, :t, :t, 'count')"
                ),
                {"u": user_key, "p": number, "first": (number - 1) * size + 1, "last": number * size, "n": size,
                 "t": sealed},
            )  # fmt: skip
    return int(user_key)


def rows(engine: Engine, statement: str, **parameters: Any) -> list[Any]:
    """Result of a query."""
    with engine.connect() as connection:
        return list(connection.execute(text(statement), parameters))


def texts(engine: Engine) -> list[tuple[int, int, str]]:
    """(user_key, partition_no, kind) of every stored text, once each time it is stored."""
    return [tuple(row) for row in rows(engine, "SELECT user_key, partition_no, kind::text FROM liber.interest"
                                               " ORDER BY user_key, partition_no, kind::text")]  # fmt: skip


def expected(users: Mapping[int, int]) -> list[tuple[int, int, str]]:
    """What must be stored for users (key -> partitions): each summary, each shift but the first, once."""
    return sorted(
        (key, number, kind)
        for key, partitions in users.items()
        for number in range(1, partitions + 1)
        for kind in (("summary", "shift") if number > 1 else ("summary",))
    )
