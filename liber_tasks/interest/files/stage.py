"""The lines of a file in the database: staged, judged by what is there, stored all or not at all."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection

from liber_tasks.db import query
from liber_tasks.errors import InputError
from liber_tasks.interest.files.made_elsewhere import Subject
from liber_tasks.interest.files.report import NAMED, NO_PLACE, REASONS, BadLine, ImportReport, counted
from liber_tasks.types import Progress

LINES_READ = 2_000  # in memory at once
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})  # of COPY's text format


class Staged(NamedTuple):
    """A row of the stage."""

    line: int
    item_id: str | None = None
    user_id: str | None = None
    partition_no: int | None = None
    kind: str | None = None
    partition_sha256: str | None = None
    text: str | None = None
    attributes_sha256: str | None = None
    input_sha256: str | None = None
    left_out: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_seconds: float | None = None
    finish_reason: str | None = None
    content_sha256: str | None = None
    bad: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Version:
    """What texts are made with; a row of liber.knowledge_version.

    Attributes:
        knowledge_version: its name.
        model: that wrote them.
        summary_prompt: of texts about partitions.
        shift_prompt: likewise.
        item_prompt: of texts about items.
        parameters: everything else that shapes a text.
        recipe: what the prompts were made of; None: not known.
        registered: kind to URI in an MLflow prompt registry.
    """

    knowledge_version: str
    model: str
    summary_prompt: str | None = None
    shift_prompt: str | None = None
    item_prompt: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] | None = None
    registered: dict[str, str] = field(default_factory=dict)


def stage(connection: Connection, lines: Iterable[Staged], texts: int | None, progress: Progress) -> None:
    """Read all lines into the stage, which is gone with the transaction.

    Args:
        connection: within a transaction.
        lines: of the file.
        texts: how many there will be; None: not known.
        progress: told about texts read.
    """
    connection.execute(query("knowledge/stage"))
    rows, done = iter(lines), 0
    while batch := list(islice(rows, LINES_READ)):
        _copy(connection, batch)
        done += len(batch)
        progress(done, texts, "texts read")
    connection.execute(query("knowledge/analyze_stage"))


def content(connection: Connection, model: str) -> str:
    """Digest of what a model says in the staged lines, of those about the same in the first; whatever their order."""
    connection.execute(query("knowledge/mark_duplicates"))
    digest = hashlib.sha256(model.encode())
    rows = connection.execute(query("knowledge/content"), execution_options={"yield_per": LINES_READ})
    for line in rows.scalars():
        digest.update(line.encode())
    return digest.hexdigest()


def _copy(connection: Connection, batch: list[Staged]) -> None:
    rows = ("\t".join(r"\N" if cell is None else str(cell).translate(_ESCAPES) for cell in line) for line in batch)
    data = BytesIO("".join(f"{row}\n" for row in rows).encode())
    connection.connection.cursor().copy_expert(query("knowledge/copy_stage").text, data)


def load(
    connection: Connection,
    path: Path,
    subject: Subject,
    version: Version,
    *,
    skip_bad: bool,
    content_sha256: str | None = None,
) -> ImportReport:
    """Judge the stage by what is there, and store what is new.

    Args:
        connection: within the transaction of the stage.
        path: the file.
        subject: what its texts are about.
        version: what they are made with.
        skip_bad: leave bad lines out.
        content_sha256: of a file made elsewhere.

    Raises:
        InputError: a line is bad and `skip_bad` is not set; or another text is there already under this version; or
            the version was made with something else.
    """
    locks, judge, add = _STATEMENTS[subject]
    name = {"knowledge_version": version.knowledge_version}
    for lock in locks:
        connection.execute(query(lock))
    connection.execute(query(judge), name)
    found = {row.verdict: row.lines for row in connection.execute(query("knowledge/verdicts"))}
    _refuse_other_texts(connection, path, version.knowledge_version, found.get("other text", 0))
    bad = tuple(_lines(connection, tuple(REASONS), NAMED))
    if bad and not skip_bad:
        raise InputError(_complaint(path, bad[0], found))
    if "new" in found:
        written = {part: json.dumps(getattr(version, part)) for part in ("parameters", "registered")}
        recipe = None if version.recipe is None else json.dumps(version.recipe)
        connection.execute(query("knowledge/add_version"), asdict(version) | written | {"recipe": recipe})
    _compare(connection, path, version)
    imported = 0
    if "new" in found:
        imported = connection.execute(query(add), name | {"content_sha256": content_sha256}).rowcount
    return ImportReport(
        path, version.knowledge_version, read=sum(found.values()), imported=imported, bad=bad, **counted(found)
    )


_STATEMENTS: dict[Subject, tuple[tuple[str, ...], str, str]] = {
    "items": (("knowledge/lock_item_texts",), "knowledge/judge_items", "knowledge/add_item_texts"),
    "partitions": (("erase/hold_off", "knowledge/lock_texts"), "knowledge/judge", "knowledge/add_texts"),
}


def _lines(connection: Connection, verdicts: tuple[str, ...], most: int) -> Iterator[BadLine]:
    rows = connection.execute(query("knowledge/bad_lines"), {"verdicts": list(verdicts), "most": most})
    return (BadLine(**row) for row in rows.mappings())


def _refuse_other_texts(connection: Connection, path: Path, knowledge_version: str, texts: int) -> None:
    if texts:
        (first,) = _lines(connection, ("other text",), 1)
        raise InputError(
            f"{path}, line {first.line}: another {first.about} is stored already under knowledge version "
            f"{knowledge_version!r} ({texts:,} such texts). Nothing was imported: texts of one version are never "
            "replaced."
        )


def _complaint(path: Path, first: BadLine, found: dict[str, int]) -> str:
    counts = ", ".join(f"{found[reason]:,} {reason}" for reason in REASONS if reason in found)
    repair = "ingest and seal the same behaviours by the same rule" if first.user_id else "ingest the same items"
    if first.reason not in NO_PLACE:
        repair = "correct the file"
    return (
        f"{path}, line {first.line}: {first} (in all: {counts}). Nothing was imported: {repair}, or leave such lines "
        "out with --skip-bad."
    )


def _compare(connection: Connection, path: Path, version: Version) -> None:
    """Texts of one version never mix: what is there under this name was made with the same."""
    known = connection.execute(query("knowledge/version"), {"knowledge_version": version.knowledge_version}).first()
    for part in known._fields if known else ():
        here, there = getattr(known, part), getattr(version, part)
        if here != there and not (part == "recipe" and None in (here, there)):
            raise InputError(
                f"{path}: knowledge version {version.knowledge_version!r} is there already with another {part}. "
                "Nothing was imported: texts of one version never mix."
            )
