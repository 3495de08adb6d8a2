"""Erasure: everything of a user leaves the database, and what comes later of this user is refused.

What goes: the user's rows in every table that has a column user_key or user_id (behaviour, stream, partitions, cut
points, texts, ledger of LLM calls, vectors, profile with its past, exposures, metrics); raw text of rejected rows and
names of ingested files that hold the id; the planner's statistics that sampled it. Compact keys are never used again.

What stays: counts of files, readouts and the encoder's PCA, which are aggregates; line and reason of rejected rows;
what *other* users' rows say (a context or an attribute that names this user); the models trained before, which
`erase_models.models_holding` lists.

The record (liber.erasure) holds a digest of the id with this database's secret (liber.erasure_key), so that ids are
refused without being kept. Whoever sees the records without the secret, as from a report or a log, learns nothing;
liber_reader sees neither. Whoever can read both, the owner or the holder of a backup, can test whether an id that he
guesses was erased: refusing needs just that.

Deleted rows are dead tuples until VACUUM and lie in the write-ahead log, in replicas and in backups until these are
recycled; what a backup brings back is erased again (`erase_again`). Files and topics that were read from are not
touched, nor are server logs.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from liber_tasks.behavior.load import MAX_RAW
from liber_tasks.behavior.spelling import MAX_ID_BYTES, beginnings, pattern, pieces
from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.types import Progress, silent


@dataclass(frozen=True)
class ErasureReport:
    """What one call of `erase` came to."""

    user_id: str
    erased_at: datetime  # when the erasure in force was recorded
    recorded: bool  # False: the user was erased already; only `removed` is of this call
    removed: Mapping[str, int] = field(default_factory=dict)  # table -> rows removed, or cleared of the id

    @property
    def found(self) -> bool:
        """Whether anything of this user was there."""
        return bool(self.removed)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        return asdict(self) | {"found": self.found}


@dataclass(frozen=True)
class ReadmissionReport:
    """What one call of `readmit` came to."""

    user_id: str
    erased_at: datetime
    readmitted_at: datetime
    changed: bool  # False: the user was re-admitted before


def erase(engine: Engine, user_id: str, *, progress: Progress = silent) -> ErasureReport:
    """Remove a user and refuse what comes of this user from now on, in one transaction: all of it or nothing.

    Waits for appends that are under way, and holds back those that come meanwhile. A second call finds nothing and
    writes no second record. A user nobody has heard of is recorded all the same: the events may come later.

    Args:
        engine: LIBER database, as the owner of the schema.
        user_id: external id.
        progress: told the steps done.

    Returns:
        Rows removed from each table that had any.

    Raises:
        InputError: this cannot be an id.
        ServiceUnavailable: the database cannot be reached; nothing was changed.
    """
    _check(user_id)
    with database_errors(), engine.begin() as connection:
        connection.execute(query("erase/lock"))
        removed = _remove(connection, user_id, progress)
        erased_at, recorded = _record(connection, user_id, removed)
    progress(5, 5, "erase")
    return ErasureReport(user_id, erased_at, recorded, removed)


def remove(engine: Engine, user_id: str) -> Mapping[str, int]:
    """Remove a user in one transaction without a record: what comes of this user from now on is accepted.

    Args:
        engine: LIBER database, as the owner of the schema.
        user_id: external id.

    Returns:
        Rows removed from each table that had any.

    Raises:
        ServiceUnavailable: the database cannot be reached; nothing was changed.
    """
    with database_errors(), engine.begin() as connection:
        connection.execute(query("erase/lock"))
        return _remove(connection, user_id, silent)


def readmit(engine: Engine, user_id: str) -> ReadmissionReport:
    """Accept what comes of an erased user again. Nothing comes back: the stream starts empty, with seq 1.

    A file that was loaded before stays known by its content, also where this user's rows in it were refused: to load
    them, put them into a new file.

    Args:
        engine: LIBER database, as the owner of the schema.
        user_id: external id.

    Raises:
        InputError: this user was never erased.
        ServiceUnavailable: the database cannot be reached.
    """
    _check(user_id)
    with database_errors(), engine.begin() as connection:
        connection.execute(query("erase/lock"))
        for name, changed in (("readmit", True), ("last_ended", False)):
            row = connection.execute(query(f"erase/{name}"), {"user_id": user_id}).one_or_none()
            if row is not None:
                return ReadmissionReport(user_id, row.erased_at, row.readmitted_at, changed)
    raise InputError(f"User {user_id!r} was never erased: there is nothing to re-admit; check the id.")


def _remove(connection: Connection, user_id: str, progress: Progress) -> dict[str, int]:
    """Rows removed or cleared, by table."""
    user_key = connection.execute(query("erase/user_key"), {"user_id": user_id}).scalar_one_or_none()
    for name in ("lock_stream", "lock_partitions"):
        connection.execute(query(f"erase/{name}"), {"user_key": user_key})
    connection.execute(query("erase/lock_experiments"))
    progress(1, 5, "erase")

    rows = connection.execute(query("erase/rows"), {"user_key": user_key, "user_id": user_id})
    removed = {row.table_name: row.removed for row in rows}
    progress(2, 5, "erase")

    spelt = {"id_pattern": pattern(user_id), "pieces": pieces(user_id), "beginnings": beginnings(user_id)}
    for number, (name, table) in enumerate((("clear_raw", "rejected_row"), ("clear_source", "ingest_file")), start=3):
        cleared = connection.execute(query(f"erase/{name}"), spelt | {"max_raw": MAX_RAW}).rowcount
        if cleared:
            removed[table] = cleared
        progress(number, 5, "erase")
    connection.execute(query("erase/statistics"), {"tables": list(removed), "id_pattern": pattern(user_id)})
    return removed


def _record(connection: Connection, user_id: str, removed: Mapping[str, int]) -> tuple[datetime, bool]:
    """When the erasure in force was recorded, and whether that was now."""
    connection.execute(query("erase/make_key"))
    before = connection.execute(query("erase/in_force"), {"user_id": user_id}).one_or_none()
    if before is None:
        parameters = {"user_id": user_id, "removed": json.dumps(removed)}
        return connection.execute(query("erase/record"), parameters).scalar_one(), True
    if removed:
        total = Counter(before.removed) + Counter(removed)
        parameters = {"user_digest": before.user_digest, "removed": json.dumps(total)}
        connection.execute(query("erase/record_more"), parameters)
    return before.erased_at, False


def _check(user_id: str) -> None:
    try:
        size = len(user_id.encode())
    except UnicodeEncodeError:
        size = 0
    if not user_id.strip() or "\0" in user_id or not 1 <= size <= MAX_ID_BYTES:
        raise InputError(
            f"{user_id[:40]!r} cannot be the id of a user: give 1 to {MAX_ID_BYTES} bytes of UTF-8 without NUL."
        )
