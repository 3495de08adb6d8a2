"""Which rows may enter the database, judged a column at a time: the good ones typed, the others with a reason."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from liber_tasks.behavior.files.blocks import Block, Rejected
from liber_tasks.behavior.files.formats import Kind
from liber_tasks.behavior.values import MAX_JSON_BYTES, TIME, json_object, parse_numbers, parse_times

BEHAVIOR_KINDS = ("play", "rating", "purchase", "click")
MAX_TITLE_BYTES = 4096
MAX_ID_BYTES = 512  # a longer one does not fit an index entry together with its neighbours
EARLIEST = pa.scalar(0, pa.int64()).cast(TIME)  # nobody's behaviour was logged before 1970

BEHAVIOR_SCHEMA = pa.schema(
    [
        ("line", pa.int64()),
        ("event_id", pa.string()),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("event_time", TIME),
        ("kind", pa.string()),
        ("rating", pa.float32()),
        ("play_seconds", pa.float32()),
        ("context", pa.string()),
    ]
)
ITEM_SCHEMA = pa.schema(
    [("line", pa.int64()), ("item_id", pa.string()), ("title", pa.string()), ("attributes", pa.string())]
)
USER_SCHEMA = pa.schema([("line", pa.int64()), ("user_id", pa.string()), ("attributes", pa.string())])

_Finding = tuple[np.ndarray, str]  # mask of rows, reason


@dataclass(frozen=True)
class Checked:
    """What a block came to."""

    good: pa.RecordBatch  # in the kind's schema
    rejected: list[Rejected]


def check(block: Block, kind: Kind, latest: datetime) -> Checked:
    """Judge a block of rows.

    Args:
        block: rows with the columns of `LAYOUTS[kind]`, as text; event_time as text or as moments.
        kind: what the rows are.
        latest: an event later than this is from the future.

    Returns:
        Good rows, typed, and the bad ones, each with the first reason found against it.
    """
    if kind == "behaviors":
        typed, findings = _behaviors(block.rows, latest)
    else:
        typed, findings = _profiles(block.rows, ITEM_SCHEMA if kind == "items" else USER_SCHEMA)
    verdict = np.zeros(typed.num_rows, dtype=np.int64)  # 0: good, else the finding's number
    for number, (mask, _) in enumerate(findings, start=1):
        verdict[(verdict == 0) & mask] = number
    good = verdict == 0
    lines = block.rows.column("line")
    rejected = [
        Rejected(lines[i].as_py(), findings[verdict[i] - 1][1], block.raw(i)) for i in np.flatnonzero(~good).tolist()
    ]
    return Checked(typed if good.all() else typed.filter(pa.array(good)), [*block.rejected, *rejected])


def _behaviors(rows: pa.RecordBatch, latest: datetime) -> tuple[pa.RecordBatch, list[_Finding]]:
    findings = [finding for name in ("event_id", "user_id", "item_id") for finding in _identifier(rows, name)]

    times, naive, blank = _times(rows.column("event_time"))
    findings += [
        (blank, "event_time is missing"),
        (naive, "event_time has no time zone"),
        (_mask(times.is_null()), "event_time is not a time"),
        (_mask(pc.less(times, EARLIEST)), "event_time is before 1970"),
        (_mask(pc.greater(times, pa.scalar(latest, TIME))), "event_time is in the future"),
    ]

    kinds = rows.column("kind")
    findings += [
        (_blank(kinds), "kind is missing"),
        (~_mask(pc.is_in(kinds, pa.array(BEHAVIOR_KINDS))), "kind is unknown"),
    ]

    rating, bad_rating = parse_numbers(rows.column("rating"))
    seconds, bad_seconds = parse_numbers(rows.column("play_seconds"))
    findings += [
        (bad_rating, "rating is not a number"),
        (bad_seconds, "play_seconds is not a number"),
        (_mask(pc.less(seconds, 0)), "play_seconds is negative"),
    ]

    given = rows.column("context")
    context, bad_context = _contexts(given)
    findings += [
        (_longer(given, MAX_JSON_BYTES), f"context is longer than {MAX_JSON_BYTES} bytes"),
        (bad_context, "context is not a JSON object that can be stored"),
    ]
    columns = {"event_time": times, "rating": rating, "play_seconds": seconds, "context": context}
    return _typed(rows, columns, BEHAVIOR_SCHEMA), findings


def _profiles(rows: pa.RecordBatch, schema: pa.Schema) -> tuple[pa.RecordBatch, list[_Finding]]:
    findings = list(_identifier(rows, schema.names[1]))
    if "title" in schema.names:
        title = rows.column("title")
        findings += [
            (_contains_nul(title), "title contains a NUL byte"),
            (_longer(title, MAX_TITLE_BYTES), f"title is longer than {MAX_TITLE_BYTES} bytes"),
        ]
    return _typed(rows, {}, schema), findings


def _identifier(rows: pa.RecordBatch, name: str) -> Iterator[_Finding]:
    column = rows.column(name)
    yield _blank(column), f"{name} is missing"
    yield _contains_nul(column), f"{name} contains a NUL byte"
    yield _longer(column, MAX_ID_BYTES), f"{name} is longer than {MAX_ID_BYTES} bytes"


def _times(column: pa.Array) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """Moments, which of them lack a zone, which are missing."""
    if column.type == TIME:
        return column, np.zeros(len(column), dtype=bool), _mask(column.is_null())
    return (*parse_times(column), _blank(column))


def _contexts(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    if column.null_count == len(column):
        return column, np.zeros(len(column), dtype=bool)
    given = column.to_pylist()
    stored = [None if text is None else json_object(text) for text in given]
    bad = [text is not None and kept is None for text, kept in zip(given, stored, strict=True)]
    return pa.array(stored, pa.string()), np.array(bad, dtype=bool)


def _blank(column: pa.Array) -> np.ndarray:
    return _mask(pc.equal(pc.fill_null(pc.utf8_trim_whitespace(column), ""), ""))


def _contains_nul(column: pa.Array) -> np.ndarray:
    return _mask(pc.match_substring(column, "\0"))


def _longer(column: pa.Array, bytes_: int) -> np.ndarray:
    return _mask(pc.greater(pc.binary_length(column), bytes_))


def _typed(rows: pa.RecordBatch, columns: dict[str, pa.Array], schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([columns.get(name, rows.column(name)) for name in schema.names], schema=schema)


def _mask(array: pa.Array) -> np.ndarray:
    return pc.fill_null(array, False).to_numpy(zero_copy_only=False)
