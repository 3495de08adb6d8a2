"""What the formats share: every cell becomes text, so that one set of checks serves all of them."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from liber_tasks.behavior.files.blocks import Block, Layout, Rejected
from liber_tasks.behavior.values import MAX_EPOCH, MAX_JSON_BYTES, TIME, json_object
from liber_tasks.errors import InputError

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def table_block(
    numbers: Sequence[int],
    batch: pa.RecordBatch,
    rejected: list[Rejected],
    layout: Layout,
    raw: Callable[[int], str] | None = None,
) -> Block:
    """A block of columns that the file already tells apart; `raw` is for files that are not written as the batch."""
    raw = raw or raw_of(batch)
    if layout.rest:
        return profile_block(numbers, batch.to_pylist(), raw, rejected, layout)
    names = batch.schema.names
    missing = pa.nulls(batch.num_rows, pa.string())
    columns = [_as_text(batch.column(name), name) if name in names else missing for name in layout.columns]
    return Block(batch_of(numbers, columns, layout), raw, rejected)


def raw_of(batch: pa.RecordBatch) -> Callable[[int], str]:
    """A function from a row of a batch to its text in quarantine."""

    def raw(index: int) -> str:
        row = batch.slice(index, 1)
        try:
            return json.dumps(row.to_pylist()[0], ensure_ascii=False, default=str)
        except (OverflowError, ValueError):  # a time beyond Python's calendar
            cells = zip(row.schema.names, row.columns, strict=True)
            return json.dumps({name: str(cell) for name, cell in cells}, ensure_ascii=False)

    return raw


def _as_text(column: pa.Array, name: str) -> pa.Array:
    """Any Arrow column as strings: structures as JSON, times without a zone in ISO 8601. Times with one stay times."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        if kind.tz and name == "event_time":
            return _moments(column)
        return column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.string())
    if pa.types.is_nested(kind):
        values = (dict(value) if pa.types.is_map(kind) and value else value for value in column.to_pylist())
        return strings([None if value is None else json.dumps(value, default=str) for value in values])
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    with suppress(pa.ArrowNotImplementedError):
        if not pa.types.is_duration(kind):  # Arrow's text of it is a bare number that hides its unit
            return column.cast(pa.string())
    raise InputError(f"column {name} holds {kind}, which has no usual text; write numbers or text.")


def _moments(column: pa.Array) -> pa.Array:
    """Times with a zone in microseconds; those beyond the years 1970 to 9999 are clipped to just beyond."""
    per_second = _PER_SECOND[column.type.unit]
    known = column.is_valid().to_numpy(zero_copy_only=False)
    ticks = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    ticks = np.clip(ticks, -per_second, min(int(MAX_EPOCH) * per_second, np.iinfo(np.int64).max))
    micros = ticks * (10**6 // per_second) if per_second < 10**6 else ticks // (per_second // 10**6)
    return pa.array(micros, mask=~known).cast(TIME)


def profile_block(
    numbers: Sequence[int],
    rows: Sequence[Mapping[str, Any]],
    raw: Callable[[int], str],
    rejected: list[Rejected],
    layout: Layout,
) -> Block:
    """A block of items or users: the layout's columns, all others gathered in `attributes`."""
    kept, cells = [], []
    for index, (number, row) in enumerate(zip(numbers, rows, strict=True)):
        typed = [row.get(name) for name in layout.required]
        reason = next((f"{n} has the wrong type" for n, v in zip(layout.required, typed, strict=True) if not _plain(v)),
                      None)  # fmt: skip
        if reason is None:
            attributes, reason = _attributes(row, layout)
        if reason is None:
            kept.append(index)
            cells.append((*typed, attributes))
        else:
            rejected.append(Rejected(number, reason, raw(index)))
    columns = [strings([row[i] for row in cells]) for i in range(len(layout.columns))]
    return Block(batch_of([numbers[i] for i in kept], columns, layout), lambda index: raw(kept[index]), rejected)


def _plain(value: Any) -> bool:
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


def _attributes(row: Mapping[str, Any], layout: Layout) -> tuple[str | None, str | None]:
    """Every other key of a row as one JSON object, or the reason why there is none.

    A key `attributes` that is an object itself is unfolded.
    """
    rest = {key: value for key, value in row.items() if key not in layout.required and not _absent(value)}
    inner = rest.get("attributes")
    if isinstance(inner, str) and (text := json_object(inner)):
        inner = json.loads(text)
    if isinstance(inner, Mapping):
        del rest["attributes"]
        rest = {**inner, **rest}
    try:
        text = json.dumps(rest, ensure_ascii=False, allow_nan=False, default=str)
    except (ValueError, RecursionError):
        text = ""
    if len(text) > MAX_JSON_BYTES:
        return None, f"attributes are longer than {MAX_JSON_BYTES} bytes"
    stored = json_object(text)
    return stored, None if stored else "attributes cannot be stored as JSON"


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def batch_of(numbers: Sequence[int], columns: list[pa.Array], layout: Layout) -> pa.RecordBatch:
    """Line numbers and the layout's columns, in its order, as a block's rows."""
    lines = np.arange(numbers.start, numbers.stop) if isinstance(numbers, range) else numbers
    return pa.record_batch([pa.array(lines, pa.int64()), *columns], names=["line", *layout.columns])


def strings(values: list[Any]) -> pa.Array:
    """Texts and numbers as a string array; None is null."""
    try:
        return pa.array(values, pa.string())
    except pa.ArrowException:
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def require(names: Sequence[str], layout: Layout) -> None:
    """Raise InputError for the first required column that is not among `names`."""
    for name in layout.required:
        if name not in names:
            raise InputError(f"column {name} is missing; the file needs {', '.join(layout.required)}.")
