"""JSONL to blocks of rows."""

import re
from collections.abc import Iterator, Sequence
from typing import IO, Any

import msgspec
import pyarrow as pa

from liber_tasks.behavior.columns import BLOCK_BYTES, MAX_LINE_BYTES, batch_of, profile_block, require, strings, utf8
from liber_tasks.behavior.sources import Block, Layout, Rejected
from liber_tasks.errors import InputError

_NUMERIC = ("event_time", "rating", "play_seconds")


def read_jsonl(file: IO[bytes], layout: Layout) -> Iterator[Block]:
    """Blocks of a JSONL file: one object a line, lines numbered from 1, empty lines skipped."""
    decoder = msgspec.json.Decoder(dict if layout.rest else _row_type(layout))
    number = 1
    rest = b""
    checked = False
    while True:
        chunk = file.read(BLOCK_BYTES)
        if number == 1 and not rest:
            chunk = chunk.removeprefix(b"\xef\xbb\xbf")
        data = rest + chunk
        cut = len(data) if not chunk else data.rfind(b"\n") + 1
        data, rest = data[:cut], data[cut:]
        if len(rest) > MAX_LINE_BYTES:
            raise InputError(f"line {number} is longer than {MAX_LINE_BYTES} bytes: this is not one object a line.")
        if data:
            lines = utf8(data, number).split("\n")
            if not lines[-1]:
                lines.pop()
            block = _jsonl_block(lines, number, decoder, layout)
            checked = checked or _check_columns(block.rows, layout)
            yield block
            number += len(lines)
        if not chunk:
            return


def _row_type(layout: Layout) -> type[msgspec.Struct]:
    """A record type with the layout's fields; other keys are ignored, `context` stays JSON text."""
    fields: list[tuple[str, Any, Any]] = []
    for name in layout.columns:
        if name == "context":
            fields.append((name, msgspec.Raw, msgspec.Raw(b"")))
        else:
            fields.append((name, str | int | float | None if name in _NUMERIC else str | int | None, None))
    return msgspec.defstruct("Row", fields, gc=False)


def _jsonl_block(lines: list[str], first: int, decoder: msgspec.json.Decoder[Any], layout: Layout) -> Block:
    rejected: list[Rejected] = []
    numbers: Sequence[int] = range(first, first + len(lines))
    try:
        decode = decoder.decode
        rows = [decode(line) for line in lines]
    except (msgspec.MsgspecError, RecursionError):
        rows, kept = [], []
        for number, line in zip(numbers, lines, strict=True):
            if not line.strip():
                continue
            try:
                rows.append(decoder.decode(line))
                kept.append((number, line))
            except (msgspec.MsgspecError, RecursionError) as error:
                rejected.append(Rejected(number, _why(error), line))
        numbers, lines = [number for number, _ in kept], [line for _, line in kept]
    if layout.rest:
        return profile_block(numbers, rows, lines.__getitem__, rejected, layout)
    columns = [strings([_cell(row, name) for row in rows]) for name in layout.columns]
    return Block(batch_of(numbers, columns, layout), lines.__getitem__, rejected)


def _cell(row: msgspec.Struct, name: str) -> str | int | float | None:
    value = getattr(row, name)
    if name == "context":
        raw = bytes(value).decode()
        return None if raw in ("", "null") else raw
    return value  # type: ignore[no-any-return]


def _why(error: Exception) -> str:
    if not isinstance(error, msgspec.ValidationError):
        return "not valid JSON"
    field = re.search(r"`\$\.(\w+)", str(error))
    return f"{field[1]} has the wrong type" if field else "not a JSON object"


def _check_columns(rows: pa.RecordBatch, layout: Layout) -> bool:
    """JSONL has no header: a column that no row of the first block has is missing. True once that is judged."""
    if rows.num_rows:
        require([name for name in layout.required if rows.column(name).null_count < rows.num_rows], layout)
    return rows.num_rows > 0
