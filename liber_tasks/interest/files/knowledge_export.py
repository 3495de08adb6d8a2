"""Export: the texts of one knowledge version into a file that another database can import."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.interest.files.item_format import ItemHeader, ItemText
from liber_tasks.interest.files.knowledge_format import Header, Text
from liber_tasks.interest.files.target import ROWS_READ, write
from liber_tasks.types import Progress, silent


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    Attributes:
        texts: summaries and shifts.
        users: whose.
        knowledge_version: of the texts.
        sha256: of the lines behind the header, as the header says.
        path: the file.
    """

    texts: int
    users: int
    knowledge_version: str
    sha256: str
    path: Path


@dataclass(frozen=True)
class ItemExportReport:
    """What was written.

    Attributes:
        texts: one an item.
        knowledge_version: of the texts.
        sha256: of the lines behind the header, as the header says.
        path: the file.
    """

    texts: int
    knowledge_version: str
    sha256: str
    path: Path


def export(
    engine: Engine, path: str | Path, *, knowledge_version: str | None = None, progress: Progress = silent
) -> ExportReport:
    """Write a knowledge file (`knowledge_format`), as one moment of the database has it. Equal texts give equal bytes.

    Args:
        engine: LIBER database; a role that reads is enough.
        path: file to write; compressed where it ends in .gz. A file of this name is replaced, at the very end.
        knowledge_version: whose texts; None: the newest that has any.
        progress: told about texts read.

    Raises:
        InputError: there is no such version, or nothing was learnt yet, or the file cannot be written.
        ServiceUnavailable: the database cannot be reached.
        LiberError: a stored text is one that no import would take; names it.
    """
    path, users = Path(path), 0

    def texts() -> Iterator[Text]:
        nonlocal users
        last = None
        for row in _rows(connection, "knowledge/texts", name):
            users, last = users + (row.user_id != last), row.user_id
            yield Text(*row)

    with database_errors(), _snapshot(engine) as connection:
        version = _version(connection, "knowledge/versions", knowledge_version)
        name = version["knowledge_version"]
        number, digest = write(
            path, texts(), lambda texts, sha256: Header(**version, texts=texts, sha256=sha256).line(), progress
        )
    return ExportReport(number, users, name, digest, path)


def export_items(
    engine: Engine, path: str | Path, *, knowledge_version: str | None = None, progress: Progress = silent
) -> ItemExportReport:
    """Write an item knowledge file (`item_format`); as `export`, but the version is the one with the most texts."""
    path = Path(path)
    with database_errors(), _snapshot(engine) as connection:
        version = _version(connection, "knowledge/item_versions", knowledge_version)
        name = version["knowledge_version"]
        texts = (ItemText(*row) for row in _rows(connection, "knowledge/item_texts", name))
        number, digest = write(
            path, texts, lambda texts, sha256: ItemHeader(**version, texts=texts, sha256=sha256).line(), progress
        )
    return ItemExportReport(number, name, digest, path)


def _snapshot(engine: Engine) -> Connection:
    """A connection that sees one moment."""
    return engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _version(connection: Connection, statement: str, name: str | None) -> dict[str, Any]:
    """Fields of the header that say what the texts were made with."""
    found = {row["knowledge_version"]: dict(row) for row in connection.execute(query(statement)).mappings()}
    if not found:
        raise InputError("No text is learnt yet, so there is nothing to export: run `liber learn` first.")
    if name is not None and name not in found:
        raise InputError(f"There is no text of knowledge version {name!r}: give one of {', '.join(found)}.")
    chosen = found[next(iter(found)) if name is None else name]
    for field in ("parameters", "recipe", "registered"):  # jsonb keeps no order that another database would share
        chosen[field] = _sorted(chosen[field])
    return chosen


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(part) for part in value] if isinstance(value, list) else value


def _rows(connection: Connection, statement: str, knowledge_version: str) -> Iterator[Any]:
    """Texts in the order of the file, held by a cursor of the server."""
    yield from connection.execute(
        query(statement), {"knowledge_version": knowledge_version}, execution_options={"yield_per": ROWS_READ}
    )
