"""What lies in the database, in the words of the outside: comparable between databases."""

from typing import Any

from sqlalchemy import Engine, text

_STREAM = """
SELECT u.user_id, b.seq, b.event_id, i.item_id, b.event_time, b.effective_time, b.kind::text, b.rating,
       b.play_seconds, b.context
FROM liber.behavior b JOIN liber.user_profile u USING (user_key) JOIN liber.item i USING (item_key)
ORDER BY 1, 2"""
_CURSORS = """
SELECT u.user_id, t.last_seq, t.first_unsealed_seq, t.last_partition_no, t.clock::text
FROM liber.user_stream t JOIN liber.user_profile u USING (user_key) ORDER BY 1"""
_PARTITIONS = """
SELECT u.user_id, p.partition_no, p.first_seq, p.last_seq, p.n_behaviors, p.started_at, p.ended_at, p.sealed_at,
       p.reason::text
FROM liber.behavior_partition p JOIN liber.user_profile u USING (user_key) ORDER BY 1, 2"""
_FILES = "SELECT sha256, kind, rows_read, accepted, duplicates, rejected FROM liber.ingest_file ORDER BY 1, 2"
_REJECTED = """
SELECT f.sha256, r.line, r.reason, r.raw
FROM liber.rejected_row r JOIN liber.ingest_file f USING (file_id) ORDER BY 1, 2"""
_PROFILES = """
SELECT 'item', item_id, title, attributes FROM liber.item
UNION ALL SELECT 'user', user_id, NULL, attributes FROM liber.user_profile ORDER BY 1, 2"""


def rows(engine: Engine, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """Result of a statement as plain tuples."""
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement), parameters)]


def stream(engine: Engine) -> list[tuple[Any, ...]]:
    """Behaviours in order of user and seq."""
    return rows(engine, _STREAM)


def everything(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """All that ingest and seal write."""
    parts = {"stream": _STREAM, "cursors": _CURSORS, "partitions": _PARTITIONS, "files": _FILES}
    parts |= {"rejected": _REJECTED, "profiles": _PROFILES}
    return {name: rows(engine, statement) for name, statement in parts.items()}
