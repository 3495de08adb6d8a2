"""What the three formats share: every cell becomes text, so that one set of checks serves all of them."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from liber_tasks.behavior.sources import Block, Layout, Rejected
from liber_tasks.behavior.values import json_object
from liber_tasks.errors import InputError

BLOCK_BYTES = 4 * 1024 * 1024
MAX_LINE_BYTES = 16 * 1024 * 1024


def utf8(data: bytes, number: int) -> str:
    """`data`, which starts in line `number` of its file, as text. Raises InputError naming the line at fault."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = number + data.count(b"\n", 0, error.start)
        raise InputError(f"line {line} is not UTF-8; convert the file to UTF-8.") from None


def table_block(numbers: Sequence[int], batch: pa.RecordBatch, rejected: list[Rejected], layout: Layout) -> Block:
    """A block of columns that CSV or Parquet already tell apart."""

    def raw(index: int) -> str:
        return json.dumps(batch.slice(index, 1).to_pylist()[0], ensure_ascii=False, default=str)

    if layout.rest:
        return profile_block(numbers, batch.to_pylist(), raw, rejected, layout)
    names = batch.schema.names
    missing = pa.nulls(batch.num_rows, pa.string())
    columns = [_as_text(batch.column(name)) if name in names else missing for name in layout.columns]
    return Block(batch_of(numbers, columns, layout), raw, rejected)


def _as_text(column: pa.Array) -> pa.Array:
    """Any Arrow column as strings: times in ISO 8601, structures as JSON."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", "UTC" if kind.tz else None), safe=False).cast(pa.string())
    if pa.types.is_nested(kind):
        values = (dict(value) if pa.types.is_map(kind) and value else value for value in column.to_pylist())
        return strings([None if value is None else json.dumps(value, default=str) for value in values])
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    return column.cast(pa.string())


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
        attributes = _attributes(row, layout)
        typed = [row.get(name) for name in layout.required]
        wrong = [name for name, value in zip(layout.required, typed, strict=True) if not _plain(value)]
        if wrong:
            rejected.append(Rejected(number, f"{wrong[0]} has the wrong type", raw(index)))
        elif attributes is None:
            rejected.append(Rejected(number, "attributes cannot be stored as JSON", raw(index)))
        else:
            kept.append(index)
            cells.append((*typed, attributes))
    columns = [strings([row[i] for row in cells]) for i in range(len(layout.columns))]
    return Block(batch_of([numbers[i] for i in kept], columns, layout), lambda index: raw(kept[index]), rejected)


def _plain(value: Any) -> bool:
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


def _attributes(row: Mapping[str, Any], layout: Layout) -> str | None:
    """Every other key of a row as one JSON object; a key `attributes` that is an object itself is unfolded."""
    rest = {key: value for key, value in row.items() if key not in layout.required and not _absent(value)}
    inner = rest.get("attributes")
    if isinstance(inner, str) and (text := json_object(inner)):
        inner = json.loads(text)
    if isinstance(inner, Mapping):
        del rest["attributes"]
        rest = {**inner, **rest}
    try:
        return json_object(json.dumps(rest, ensure_ascii=False, allow_nan=False, default=str))
    except (ValueError, RecursionError):
        return None


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def batch_of(numbers: Sequence[int], columns: list[pa.Array], layout: Layout) -> pa.RecordBatch:
    """Line numbers and the layout's columns, in its order, as a block's rows."""
    return pa.record_batch([pa.array(numbers, pa.int64()), *columns], names=["line", *layout.columns])


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
