"""Parquet to blocks of rows, never more of them in memory than a block."""

import io
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc

from liber_tasks.behavior.files.blocks import BLOCK_ROWS, Block, Layout
from liber_tasks.behavior.files.columns import require, table_block
from liber_tasks.errors import InputError

BATCH_BYTES = 16 * 1024 * 1024  # of decoded rows, roughly
BUFFER_BYTES = 1024 * 1024
MAX_CELL_BYTES = 1024 * 1024  # more than any column may hold; a row of a text file may be longer, it is read alone


def read_parquet(file: IO[bytes], layout: Layout) -> Iterator[Block]:
    """Blocks of a Parquet file; lines are rows, numbered from 1. Times with a zone and numbers are understood.

    Raises:
        InputError: a column is missing, there twice, of a type that it cannot be, or holds bytes that are no text.
    """
    from pyarrow import parquet

    # Arrow reads a file on disk by itself, so its threads never wait for Python; what is gzipped it cannot.
    plain = isinstance(file, io.BufferedReader)
    where = pa.OSFile(file.name) if plain else file
    table = parquet.ParquetFile(where, buffer_size=BUFFER_BYTES, pre_buffer=False)  # pages, not whole row groups
    schema = table.schema_arrow
    for name in schema.names:
        if schema.names.count(name) > 1:
            raise InputError(f"column {name!r} is there twice; keep one.")
    require(schema.names, layout)
    for name in layout.required:
        if name != "event_time" and not _is_text(schema.field(name).type):
            found = "floats" if pa.types.is_floating(schema.field(name).type) else str(schema.field(name).type)
            raise InputError(f"column {name} holds {found}; write it as text or whole numbers.")
    wanted = schema.names if layout.rest else [name for name in layout.columns if name in schema.names]
    following = 1
    for group in range(table.num_row_groups):
        size = _batch_rows(where, table, group, wanted)
        for batch in table.iter_batches(size, row_groups=[group], columns=wanted, use_threads=plain):
            _check_text(batch, following)
            yield table_block(range(following, following + batch.num_rows), batch, [], layout)
            following += batch.num_rows


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(
        test(kind)
        for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_integer,
                     pa.types.is_null)
    )  # fmt: skip


def _batch_rows(where: Any, table: Any, group: int, wanted: list[str]) -> int:
    """Rows of a row group that may be decoded at once.

    A value that stands once in a dictionary and a million times in the rows costs nothing on disk and gigabytes in
    memory. So the longest value of the dictionary counts for every row, where there is one.
    """
    meta = table.metadata.row_group(group)
    row_bytes = 0.0
    for index in range(meta.num_columns):
        chunk = meta.column(index)
        if chunk.path_in_schema.split(".")[0] not in wanted:
            continue
        longest = 0
        if chunk.physical_type == "BYTE_ARRAY" and chunk.has_dictionary_page and "." not in chunk.path_in_schema:
            longest = _longest(where, table.metadata, group, chunk.path_in_schema)
            if longest > MAX_CELL_BYTES:
                raise InputError(
                    f"column {chunk.path_in_schema} holds a value of {longest} bytes, {MAX_CELL_BYTES} are allowed; "
                    "shorten it."
                )
        row_bytes += max(longest, chunk.total_uncompressed_size / max(meta.num_rows, 1))
    return max(1, min(BLOCK_ROWS, int(BATCH_BYTES / max(row_bytes, 1))))


def _longest(where: Any, metadata: Any, group: int, column: str) -> int:
    """Bytes of the longest value in a column's dictionary, read without any of the rows but one."""
    from pyarrow import parquet

    peek = parquet.ParquetFile(
        where, metadata=metadata, read_dictionary=[column], buffer_size=BUFFER_BYTES, pre_buffer=False
    )
    first = next(peek.iter_batches(1, row_groups=[group], columns=[column], use_threads=False), None)
    if first is None:
        return 0
    values = first.column(0)
    if not pa.types.is_dictionary(values.type):
        return 0
    return pc.max(pc.binary_length(values.dictionary)).as_py() or 0


def _check_text(batch: pa.RecordBatch, first: int) -> None:
    """Parquet's texts may be any bytes: raise InputError for those that are not UTF-8."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            last = first + batch.num_rows - 1
            raise InputError(f"column {name}, rows {first} to {last}: a text is not UTF-8; write it anew.") from None
