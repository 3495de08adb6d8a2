"""CSV to blocks of rows."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

import pyarrow as pa

from liber_tasks.behavior.files.blocks import BLOCK_ROWS, Block, Layout, Rejected
from liber_tasks.behavior.files.columns import require, table_block
from liber_tasks.behavior.files.lines import BYTE_ORDER_MARK, MAX_LINE_BYTES, utf8
from liber_tasks.errors import InputError

BLOCK_BYTES = 4 * 1024 * 1024


class Rows(NamedTuple):
    """Consecutive rows of a table."""

    numbers: Sequence[int]  # line of each
    batch: pa.RecordBatch  # every column text
    rejected: list[Rejected]


def read_csv(file: IO[bytes], layout: Layout) -> Iterator[Block]:
    """Blocks of a CSV file with a header: comma, RFC 4180 quoting, an empty cell is missing.

    Lines are records: the header is line 1; empty lines and quoted line breaks do not count.
    """

    def wanted(names: list[str]) -> list[str]:
        require(names, layout)
        return names if layout.rest else [name for name in layout.columns if name in names]

    for rows in csv_rows(file, wanted):
        yield table_block(*rows, layout)


def csv_rows(file: IO[bytes], wanted: Callable[[list[str]], list[str]]) -> Iterator[Rows]:
    """Rows of a CSV file with a header, at most 65,536 at a time.

    Args:
        file: open at its start.
        wanted: given the header's names, those to read; may raise InputError.

    Raises:
        InputError: no header, a name in it twice, a row too long, a quote that is never closed, no UTF-8.
    """
    names = header(file)
    include = wanted(names)
    number = text_line = 2
    for data in _records(file):
        if not data.strip(b"\r\n"):
            text_line += data.count(b"\n")
            continue
        batch, ragged = _parsed(data, names, include, text_line)
        text_line += data.count(b"\n")
        bad = {number + row.number - 1: row.text for row in ragged}
        for at in range(0, max(batch.num_rows, 1), BLOCK_ROWS):
            part = batch.slice(at, BLOCK_ROWS)
            numbers, number = _numbered(part.num_rows, number, bad)
            if at + BLOCK_ROWS >= batch.num_rows:
                while number in bad:
                    number += 1
            ready = [Rejected(line, "wrong number of columns", bad.pop(line)) for line in list(bad) if line < number]
            yield Rows(numbers, part, ready)


def _records(file: IO[bytes]) -> Iterator[bytes]:
    """A file in pieces of whole records: cut at line ends with an even number of quotes before them.

    Arrow's own streaming reader is not used: it reads ahead in a thread, and when an error ends the reading while
    that thread is inside Python, the process hangs or aborts (seen in 1 of 10 runs with pyarrow 25).
    """
    rest = b""
    number = 2
    while chunk := file.read(BLOCK_BYTES):
        data = rest + chunk
        cut = data.rfind(b"\n") + 1
        odd = data.count(b'"', 0, cut) % 2
        while cut and odd:
            before = data.rfind(b"\n", 0, data.rfind(b'"', 0, cut)) + 1  # lines without quotes change nothing
            odd ^= data.count(b'"', before, cut) % 2
            cut = before
        data, rest = data[:cut], data[cut:]
        if data:
            yield data
            number += data.count(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise InputError(
                f"line {number}: a row is longer than {MAX_LINE_BYTES} bytes; shorten it, or close a quote left open."
            )
    if rest.count(b'"') % 2:
        raise InputError(f'line {number} or later: a quote (") is never closed; close it or double it.')
    if rest:
        yield rest


def _parsed(data: bytes, names: list[str], include: list[str], line: int) -> tuple[pa.RecordBatch, list[Any]]:
    """Records as one batch, and Arrow's descriptions of those with a wrong number of columns."""
    from pyarrow import csv as arrow_csv

    ragged: list[Any] = []

    def skip(row: Any) -> str:
        ragged.append(row)
        return "skip"

    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
            convert_options=arrow_csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                include_columns=include,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            utf8(data, line)  # knows the line
        raise
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema), ragged


def header(file: IO[bytes]) -> list[str]:
    """Column names of a CSV file that stands at its start. Raises InputError if they cannot serve."""
    line = file.readline(MAX_LINE_BYTES).removeprefix(BYTE_ORDER_MARK)
    if len(line) == MAX_LINE_BYTES:
        raise InputError(f"line 1 is longer than {MAX_LINE_BYTES} bytes: this is no header.")
    try:
        names = [name.strip() for name in next(csv.reader([utf8(line.rstrip(b"\r\n"), 1)], strict=True), [])]
    except csv.Error as error:
        raise InputError(f"line 1 is no header ({error}): write column names there, end lines with \\n.") from None
    if not any(names):
        raise InputError("line 1 is no header: write the column names there.")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"column {name!r} is there twice; keep one.")
    return names


def _numbered(n: int, first: int, bad: Mapping[int, str]) -> tuple[Sequence[int], int]:
    """Line numbers of `n` good rows from line `first` on, leaving out bad ones, and the line after them."""
    if not bad:
        return range(first, first + n), first + n
    numbers: list[int] = []
    while len(numbers) < n:
        if first not in bad:
            numbers.append(first)
        first += 1
    return numbers, first
