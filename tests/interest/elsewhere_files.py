"""Files made elsewhere, written by hand, and what is to be read of them."""

import json
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from tests.interest.data import rows

ITEMS = "SELECT i.item_id, k.text FROM liber.item_knowledge k JOIN liber.item i USING (item_key) ORDER BY 1"
PARTITIONS = ("SELECT u.user_id, i.partition_no, i.kind::text, i.text FROM liber.interest i"
              " JOIN liber.user_profile u USING (user_key) ORDER BY 1, 2, 3")  # fmt: skip
ALL = ("SELECT (SELECT count(*) FROM liber.item_knowledge), (SELECT count(*) FROM liber.interest),"
       " (SELECT count(*) FROM liber.knowledge_version)")  # fmt: skip
HOSTILE = 'tab\there, line\nbreak, back\\slash \\N \\., "quotes", \u2028, 雪, \U0001f600, \x7f \x1b[31m'


def item(item_id: Any = "a", **changes: Any) -> dict[str, Any]:
    """A line about an item."""
    return {"item_id": item_id, "title": "T", "year": 1995, "text": f"about {item_id}", "model": "org/m 1"} | changes


def part(user_id: Any = "u", partition_no: Any = 1, kind: Any = "summary", **changes: Any) -> dict[str, Any]:
    """A line about a partition."""
    return {"user_id": user_id, "partition_no": partition_no, "kind": kind, "text": f"{kind} {partition_no}",
            "model": "m"} | changes  # fmt: skip


def without(entry: dict[str, Any], field: str) -> dict[str, Any]:
    """The line with a field less."""
    return {name: value for name, value in entry.items() if name != field}


def written(path: Path, lines: list[Any]) -> Path:
    """A file of these lines: dictionaries, or bytes as they are."""
    path.write_bytes(b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines))
    return path


def add_items(engine: Engine, *item_ids: str) -> None:
    """Items without anything but an id."""
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO liber.item (item_id) SELECT unnest(cast(:ids AS text[])) ON CONFLICT DO NOTHING"),
            {"ids": list(item_ids)},
        )


def clean(engine: Engine) -> None:
    """No text is there, and no version."""
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE liber.item_knowledge, liber.interest, liber.knowledge_version CASCADE"))


def nothing(engine: Engine) -> bool:
    """Whether no text is there, and no version."""
    return rows(engine, ALL) == [(0, 0, 0)]
