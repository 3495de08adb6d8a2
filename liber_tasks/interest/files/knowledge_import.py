"""Import: a knowledge file into a database that has the same behaviours, all of it or nothing."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BufferedReader, BytesIO
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

from sqlalchemy import Connection, Engine

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.interest.files.knowledge_format import (
    MAX_HEADER_BYTES,
    MAX_LINE_BYTES,
    Header,
    Malformed,
    Text,
    read_header,
    read_text,
)
from liber_tasks.types import Progress, silent

LINES_READ = 2_000  # in memory at once
NAMED = 20  # lines that are named one by one
UNMATCHED = ("unknown user", "unknown partition", "other content")
_GZIP = b"\x1f\x8b"
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})  # of COPY's text format


@dataclass(frozen=True)
class Unmatched:
    """A text that this database has no place for."""

    line: int  # of the file, from 1
    user_id: str
    partition_no: int
    kind: str
    reason: str  # one of UNMATCHED


@dataclass(frozen=True)
class ImportReport:
    """What became of a file's texts; `read` is the sum of the counts from `imported` to `other_content`.

    Attributes:
        path: the file.
        knowledge_version: of the texts.
        read: texts of the file.
        imported: stored now.
        already_there: the same text was stored before.
        refused: of erased users; nothing of them is stored or named.
        unknown_users: left out: no behaviour of the user was ingested.
        unknown_partitions: left out: the user has no such partition (yet).
        other_content: left out: the partition holds other behaviours, as after sealing by another rule.
        unmatched: the first `NAMED` of those left out.
    """

    path: Path
    knowledge_version: str
    read: int
    imported: int
    already_there: int
    refused: int
    unknown_users: int
    unknown_partitions: int
    other_content: int
    unmatched: tuple[Unmatched, ...]


def import_(engine: Engine, path: str | Path, *, skip_bad: bool = False, progress: Progress = silent) -> ImportReport:
    """Store the texts of a knowledge file (`knowledge_format`), in one transaction.

    The file is read to its end and found whole before anything is stored. A second import changes nothing. Learning
    waits while the texts are stored, and does not ask for them afterwards; an erasure waits too. Texts of erased users
    never enter, and do not keep the others out.

    Args:
        engine: LIBER database.
        path: file, compressed or not.
        skip_bad: leave out texts of users, partitions or contents that this database does not have.
        progress: told about texts read.

    Raises:
        InputError: the file cannot be read, or is damaged; or a text has no place here and `skip_bad` is not set; or
            another text is there already under this knowledge version; or the version was made with something else.
            Nothing was imported.
        ServiceUnavailable: the database cannot be reached.
    """
    path = Path(path)
    with _opened(path) as file, database_errors():
        reader = _Reader(path, file)
        texts = iter(reader)
        with engine.begin() as connection:
            connection.execute(query("knowledge/stage"))
            while batch := list(islice(texts, LINES_READ)):
                _copy(connection, batch)
                progress(batch[-1][0] - 1, reader.header.texts, "texts read")
            connection.execute(query("knowledge/analyze_stage"))
            connection.execute(query("erase/hold_off"))
            connection.execute(query("knowledge/lock_texts"))
            return _load(connection, path, reader.header, skip_bad)


class _Reader:
    """Texts of a file with their line numbers. Its end is reached only if the whole file is as its header says."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        """Read the header."""
        self.line = 1
        self._path = path
        self._file = file
        with self._naming():
            self.header: Header = read_header(file.readline(MAX_HEADER_BYTES))

    def __iter__(self) -> Iterator[tuple[int, Text]]:
        digest, last = hashlib.sha256(), None
        with self._naming():
            while True:
                self.line += 1
                line = self._file.readline(MAX_LINE_BYTES)
                if not line:
                    break
                digest.update(line)
                text = read_text(line)
                if last is not None and text.place <= last:
                    wrong = "there twice" if text.place == last else "out of order"
                    raise Malformed(
                        f"the {text.kind} of partition {text.partition_no} of user {text.user_id!r} is {wrong}"
                    )
                last = text.place
                yield self.line, text
            texts = self.line - 2
            if texts != self.header.texts:
                raise Malformed(f"the file ends after {texts:,} texts, and its header says {self.header.texts:,}")
            if digest.hexdigest() != self.header.sha256:
                raise Malformed("the lines before do not have the digest that the header states: one was changed")

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, zlib.error, gzip.BadGzipFile):
            reason = "the compressed data are damaged or cut off"
        except Malformed as error:
            reason = str(error)
        else:
            return
        raise InputError(f"{self._path}, line {self.line}: {reason}. Nothing was imported: get the file again.")


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as raw:
            if raw.peek(2)[:2] != _GZIP:
                yield raw
                return
            with gzip.GzipFile(fileobj=raw) as packed, BufferedReader(cast(Any, packed), 2**18) as file:
                yield file
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}; check the path.") from None


def _copy(connection: Connection, batch: list[tuple[int, Text]]) -> None:
    rows = (
        "\t".join(r"\N" if field is None else str(field).translate(_ESCAPES) for field in (line, *text))
        for line, text in batch
    )
    data = BytesIO("".join(f"{row}\n" for row in rows).encode())
    connection.connection.cursor().copy_expert(query("knowledge/copy_stage").text, data)


def _load(connection: Connection, path: Path, header: Header, skip_bad: bool) -> ImportReport:
    """Judge the stage by what is there, and store what is new."""
    version = {"knowledge_version": header.knowledge_version}
    connection.execute(query("knowledge/judge"), version)
    found = {row.verdict: row.lines for row in connection.execute(query("knowledge/verdicts"))}
    if "other text" in found:
        (first,) = _first(connection, ("other text",), 1)
        raise InputError(
            f"{path}, line {first.line}: another {first.kind} of partition {first.partition_no} of user "
            f"{first.user_id!r} is stored already under knowledge version {header.knowledge_version!r} "
            f"({found['other text']:,} such texts). Nothing was imported: texts of one version are never replaced."
        )
    unmatched = _first(connection, UNMATCHED, NAMED)
    if unmatched and not skip_bad:
        first = unmatched[0]
        counts = ", ".join(f"{found[reason]:,} {reason}" for reason in UNMATCHED if reason in found)
        raise InputError(
            f"{path}, line {first.line}: this database has no place for the {first.kind} of partition "
            f"{first.partition_no} of user {first.user_id!r}: {first.reason} (in all: {counts}). Nothing was imported: "
            "ingest and seal the same behaviours by the same rule, or leave such texts out with --skip-unmatched."
        )
    if "new" in found:
        written = {name: json.dumps(getattr(header, name)) for name in ("parameters", "registered")}
        recipe = None if header.recipe is None else json.dumps(header.recipe)
        connection.execute(query("knowledge/add_version"), asdict(header) | written | {"recipe": recipe})
    _compare(connection, path, header)
    imported = connection.execute(query("knowledge/add_texts"), version).rowcount if "new" in found else 0
    users, partitions, content = (found.get(reason, 0) for reason in UNMATCHED)
    return ImportReport(
        path=path, knowledge_version=header.knowledge_version, read=header.texts, imported=imported,
        already_there=found.get("there", 0), refused=found.get("refused", 0), unknown_users=users,
        unknown_partitions=partitions, other_content=content, unmatched=unmatched,
    )  # fmt: skip


def _first(connection: Connection, verdicts: tuple[str, ...], most: int) -> tuple[Unmatched, ...]:
    rows = connection.execute(query("knowledge/first_of"), {"verdicts": list(verdicts), "most": most})
    return tuple(Unmatched(*row) for row in rows)


def _compare(connection: Connection, path: Path, header: Header) -> None:
    """Texts of one version never mix: what is there under this name was made with the same."""
    known = connection.execute(query("knowledge/version"), {"knowledge_version": header.knowledge_version}).first()
    for field in known._fields if known else ():
        here, there = getattr(known, field), getattr(header, field)
        if here != there and not (field == "recipe" and None in (here, there)):
            raise InputError(
                f"{path}: knowledge version {header.knowledge_version!r} is there already with another {field}. "
                "Nothing was imported: texts of one version never mix."
            )
