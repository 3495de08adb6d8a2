"""JSONL to blocks of rows."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import msgspec
import pyarrow as pa

from liber_tasks.behavior.files.blocks import Block, Layout, Rejected
from liber_tasks.behavior.files.columns import batch_of, profile_block, require, strings
from liber_tasks.behavior.files.lines import BLOCK_BYTES, numbered_lines

_NUMERIC = ("event_time", "rating", "play_seconds")

# line numbers, decoded rows, their lines, rows that could not be decoded -> block
Translate = Callable[[Sequence[int], list[Any], list[str], list[Rejected]], Block]


def read_jsonl(file: IO[bytes], layout: Layout) -> Iterator[Block]:
    """Blocks of a JSONL file: one object a line, lines numbered from 1, empty lines skipped.

    Of a key that an object has twice the last value counts. Keys that no column is made of are ignored.
    """
    yield from json_blocks(file, _decoder(layout), _translate(layout), layout)


def json_blocks(
    file: IO[bytes], decoder: msgspec.json.Decoder[Any], translate: Translate, layout: Layout
) -> Iterator[Block]:
    """Blocks of a file with one JSON value a line, decoded, then translated a block at a time.

    Raises:
        InputError: a column that is required stands in no row of the first block, or the file is not text.
    """
    checked = False
    for first, lines in numbered_lines(file, size=BLOCK_BYTES):
        block = translate(*_decoded(lines, first, decoder))
        checked = checked or _check_columns(block.rows, layout)
        yield block


def lines_block(lines: list[str], numbers: Sequence[int], layout: Layout) -> Block:
    """Lines that need not be a file's, such as messages of a stream.

    Args:
        lines: one object each; empty ones are skipped.
        numbers: the number of each line.
        layout: columns of the rows; a required one that no line has is left to the checks of each row.
    """
    places, rows, kept, rejected = _decoded(lines, 0, _decoder(layout))
    rejected = [Rejected(numbers[row.line], row.reason, row.raw) for row in rejected]
    return _translate(layout)([numbers[place] for place in places], rows, kept, rejected)


def _decoder(layout: Layout) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(dict if layout.rest else _row_type(layout))


def _translate(layout: Layout) -> Translate:
    def translate(numbers: Sequence[int], rows: list[Any], lines: list[str], rejected: list[Rejected]) -> Block:
        if layout.rest:
            return profile_block(numbers, rows, lines.__getitem__, rejected, layout)
        columns = [strings([_cell(row, name) for row in rows]) for name in layout.columns]
        return Block(batch_of(numbers, columns, layout), lines.__getitem__, rejected)

    return translate


def _row_type(layout: Layout) -> type[msgspec.Struct]:
    """A record type with the layout's fields; other keys are ignored, `context` stays JSON text."""
    fields: list[tuple[str, Any, Any]] = []
    for name in layout.columns:
        if name == "context":
            fields.append((name, msgspec.Raw, msgspec.Raw(b"")))
        else:
            fields.append((name, str | int | float | None if name in _NUMERIC else str | int | None, None))
    return msgspec.defstruct("Row", fields, gc=False)


def _decoded(
    lines: list[str], first: int, decoder: msgspec.json.Decoder[Any]
) -> tuple[Sequence[int], list[Any], list[str], list[Rejected]]:
    try:
        decode = decoder.decode
        return range(first, first + len(lines)), [decode(line) for line in lines], lines, []
    except (msgspec.MsgspecError, RecursionError):
        numbers, rows, kept = [], [], []
        rejected: list[Rejected] = []
        for number, line in enumerate(lines, start=first):
            if not line.strip():
                continue
            try:
                rows.append(decoder.decode(line))
                numbers.append(number)
                kept.append(line)
            except (msgspec.MsgspecError, RecursionError) as error:
                rejected.append(Rejected(number, _why(error), line))
        return numbers, rows, kept, rejected


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
    if field:
        return f"{field[1]} has the wrong type"
    return "a number is too large" if "out of range" in str(error) else "not a JSON object"


def _check_columns(rows: pa.RecordBatch, layout: Layout) -> bool:
    """JSONL has no header: a column that no row of the first block has is missing. True once that is judged."""
    if rows.num_rows:
        require([name for name in layout.required if rows.column(name).null_count < rows.num_rows], layout)
    return rows.num_rows > 0
