"""Export: the texts of one knowledge version into a file that another database can import."""

import gzip
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from sqlalchemy import Connection, Engine

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError, LiberError
from liber_tasks.interest.files.fields import Malformed
from liber_tasks.interest.files.knowledge_format import Header, Text
from liber_tasks.types import Progress, silent

ROWS_READ = 2_000  # texts in memory at once


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
    path = Path(path)
    with _file_errors(path), TemporaryFile(dir=path.parent) as lines:
        with database_errors(), _snapshot(engine) as connection:
            version = _version(connection, knowledge_version)
            digest, texts, users, last = hashlib.sha256(), 0, 0, None
            for text in _texts(connection, version["knowledge_version"]):
                line = _line(text)
                lines.write(line)
                digest.update(line)
                texts, users, last = texts + 1, users + (text.user_id != last), text.user_id
                if texts % ROWS_READ == 0:
                    progress(texts, None, "texts exported")
        header = Header(**version, texts=texts, sha256=digest.hexdigest())
        lines.seek(0)
        with _replacing(path) as file:
            file.write(header.line())
            shutil.copyfileobj(lines, file, 2**20)
    progress(texts, texts, "texts exported")
    return ExportReport(texts, users, header.knowledge_version, header.sha256, path)


def _snapshot(engine: Engine) -> Connection:
    """A connection that sees one moment."""
    return engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _version(connection: Connection, name: str | None) -> dict[str, Any]:
    """Fields of the header that say what the texts were made with."""
    found = {row["knowledge_version"]: dict(row) for row in connection.execute(query("knowledge/versions")).mappings()}
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


def _texts(connection: Connection, knowledge_version: str) -> Iterator[Text]:
    """Texts in the order of the file, held by a cursor of the server."""
    streaming = connection.execution_options(yield_per=ROWS_READ)
    for row in streaming.execute(query("knowledge/texts"), {"knowledge_version": knowledge_version}):
        yield Text(*row)


def _line(text: Text) -> bytes:
    try:
        return text.line()
    except Malformed as error:
        raise LiberError(
            f"The {text.kind} of partition {text.partition_no} of user {text.user_id!r} cannot be exported: {error}."
        ) from None


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name once it is whole and on the disk; until then a file of that name stays as it was."""
    unfinished = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        with unfinished.open("xb") as raw:
            if path.suffix == ".gz":  # neither name nor time: equal texts, equal bytes
                with gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
                    yield packed  # type: ignore[misc]
            else:
                yield raw
            raw.flush()
            os.fsync(raw.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}; name another.") from None
