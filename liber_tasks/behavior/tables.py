"""CSV and Parquet to blocks of rows."""

import csv
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa

from liber_tasks.behavior.columns import BLOCK_BYTES, MAX_LINE_BYTES, require, table_block, utf8
from liber_tasks.behavior.sources import Block, Layout, Rejected
from liber_tasks.errors import InputError


class _Quotes:
    """A file that counts the quotes read from it: an odd number means one is never closed."""

    closed = False

    def __init__(self, file: IO[bytes]):
        self._file = file
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.count += data.count(b'"')
        return data


def read_csv(file: IO[bytes], layout: Layout) -> Iterator[Block]:
    """Blocks of a CSV file with a header: comma, RFC 4180 quoting, an empty cell is missing.

    Lines are records: the header is line 1; empty lines and quoted line breaks do not count.
    """
    from pyarrow import csv as arrow_csv

    names = _header(file.readline(MAX_LINE_BYTES), layout)
    file.seek(0)
    ragged: list[Any] = []

    def skip(row: Any) -> str:
        ragged.append(row)
        return "skip"

    quotes = _Quotes(file)
    reader = arrow_csv.open_csv(
        quotes,
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=names, skip_rows=1),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
        convert_options=arrow_csv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            include_columns=names if layout.rest else [name for name in layout.columns if name in names],
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    following = 2
    for batch in reader:
        bad = {row.number for row in ragged}
        numbers: list[int] = []
        while len(numbers) < batch.num_rows:
            if following not in bad:
                numbers.append(following)
            following += 1
        ready = [row for row in ragged if row.number < following]
        ragged[:] = [row for row in ragged if row.number >= following]
        yield table_block(numbers, batch, _ragged(ready), layout)
    if quotes.count % 2:
        raise InputError('a quote (") is never closed, so rows cannot be told apart; close it or double it.')
    if ragged:
        nothing = pa.RecordBatch.from_pylist([])
        yield table_block([], nothing, _ragged(ragged), layout)


def _header(line: bytes, layout: Layout) -> list[str]:
    names = [name.strip() for name in next(csv.reader([utf8(line, 1).removeprefix("\ufeff")]), [])]
    if not any(names):
        raise InputError("line 1 is no header: write the column names there.")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"column {name!r} is there twice; keep one.")
    require(names, layout)
    return names


def _ragged(rows: Sequence[Any]) -> list[Rejected]:
    return [Rejected(row.number, "wrong number of columns", row.text) for row in rows]


def read_parquet(file: IO[bytes], layout: Layout) -> Iterator[Block]:
    """Blocks of a Parquet file; lines are rows, numbered from 1. Times with a zone and numbers are understood."""
    from pyarrow import parquet

    table = parquet.ParquetFile(file)
    names = table.schema_arrow.names
    require(names, layout)
    for name in layout.required:
        if name != "event_time" and pa.types.is_floating(table.schema_arrow.field(name).type):
            raise InputError(f"column {name} holds floats; write it as text or whole numbers.")
    wanted = names if layout.rest else [name for name in layout.columns if name in names]
    following = 1
    for batch in table.iter_batches(batch_size=65_536, columns=wanted):
        yield table_block(range(following, following + batch.num_rows), batch, [], layout)
        following += batch.num_rows
