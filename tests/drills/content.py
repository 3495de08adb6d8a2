"""What a database holds after the journey, by external ids: two runs of the same input must agree on it."""

from typing import Any

import numpy as np
from sqlalchemy import Engine

from tests.interest.data import rows

Content = dict[str, list[tuple[Any, ...]]]

TABLES = {
    "files": "SELECT sha256, kind, rows_read, accepted, duplicates, rejected FROM liber.ingest_file",
    "rejected": "SELECT f.sha256, r.line, r.reason"
    " FROM liber.rejected_row AS r JOIN liber.ingest_file AS f USING (file_id)",
    "items": "SELECT item_id, title FROM liber.item",
    "behaviors": "SELECT u.user_id, b.seq, b.event_id, i.item_id, b.event_time, b.effective_time, b.rating"
    " FROM liber.behavior AS b JOIN liber.user_profile AS u USING (user_key) JOIN liber.item AS i USING (item_key)",
    "partitions": "SELECT u.user_id, p.partition_no, p.first_seq, p.last_seq, p.reason::text, p.sealed_at"
    " FROM liber.behavior_partition AS p JOIN liber.user_profile AS u USING (user_key)",
    "texts": "SELECT u.user_id, t.partition_no, t.kind::text, t.text, t.knowledge_version"
    " FROM liber.interest AS t JOIN liber.user_profile AS u USING (user_key)",
    "calls": "SELECT u.user_id, c.partition_no, c.kind::text, c.state::text"
    " FROM liber.llm_call AS c JOIN liber.user_profile AS u USING (user_key)",
    "vectors": "SELECT u.user_id, v.partition_no, v.knowledge_version"
    " FROM liber.interest_vector AS v JOIN liber.user_profile AS u USING (user_key)",
}
_VECTORS = (
    "SELECT v.vector::text FROM liber.interest_vector AS v JOIN liber.user_profile AS u USING (user_key)"
    " ORDER BY u.user_id, v.partition_no"
)


def content(engine: Engine) -> Content:
    """Rows of the content tables in a fixed order, without keys and times of this database's own."""
    return {name: sorted((tuple(row) for row in rows(engine, sql)), key=repr) for name, sql in TABLES.items()}


def vectors(engine: Engine) -> "np.ndarray[Any, Any]":
    """(n, d) float64: r_j of every user and partition, in order."""
    return np.array([[float(x) for x in text[1:-1].split(",")] for (text,) in rows(engine, _VECTORS)])


def empty(engine: Engine) -> None:
    """Forget everything but the schema."""
    with engine.begin() as connection:
        found = connection.exec_driver_sql("SELECT tablename FROM pg_tables WHERE schemaname = 'liber'")
        names = ", ".join(f"liber.{name}" for (name,) in found)
        connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
