"""MovieLens' own files (100K, 1M, 10M, 20M and later) to blocks of rows.

A rating becomes a behaviour whose event_id is made of user, item and time, so the same rating in another file is
a duplicate.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc

from liber_tasks.behavior.files.blocks import Block, Layout, Rejected
from liber_tasks.behavior.files.columns import profile_block, table_block
from liber_tasks.behavior.files.formats import GENRES, MOVIELENS, Table, movielens_table
from liber_tasks.behavior.files.lines import BLOCK_BYTES, numbered_lines
from liber_tasks.behavior.files.tables import csv_rows, header
from liber_tasks.errors import InputError

_TITLE = re.compile(r"(?P<title>.*?)\s*\((?P<year>\d{4})\)(\s*\(V\))?$")  # (V): released on video
_AGES = {
    "1": "under 18", "18": "18-24", "25": "25-34", "35": "35-44", "45": "45-49", "50": "50-55", "56": "56 or older",
}  # fmt: skip
_OCCUPATIONS = (
    "other", "academic", "artist", "clerical", "student", "customer service", "healthcare", "executive", "farmer",
    "homemaker", "school pupil", "lawyer", "programmer", "retired", "sales", "scientist", "self-employed",
    "technician", "tradesman", "unemployed", "writer",
)  # fmt: skip


def read_movielens(file: IO[bytes], name: str, layout: Layout) -> Iterator[Block]:
    """Blocks of one of MovieLens' files.

    Args:
        file: its content, at the start.
        name: path or URL; its last part says which of the files it is.
        layout: of the kind of rows wanted.

    Raises:
        InputError: the file is none of MovieLens', holds another kind of rows, or is not what its name says.
    """
    table = movielens_table(name)
    if table is None:
        raise InputError(f"this is none of MovieLens' files ({', '.join(MOVIELENS)}); rename it to what it is.")
    if table.kind != layout.kind:
        raise InputError(f"this file holds {table.kind}, not {layout.kind}; give --kind {table.kind}.")
    if table.separator == ",":
        yield from _read_csv(file, table, layout)
        return
    for first, lines in numbered_lines(file, _text, BLOCK_BYTES):
        yield _lines_block(first, lines, table, layout)


def has_header(file: IO[bytes], table: Table) -> bool:
    """Whether a CSV file that stands at its start has the table's header; it stands there again afterwards."""
    try:
        return _wanted(header(file), table) == list(table.columns)
    except InputError:
        return False
    finally:
        file.seek(0)


def _read_csv(file: IO[bytes], table: Table, layout: Layout) -> Iterator[Block]:
    for rows in csv_rows(file, lambda names: _wanted(names, table)):
        yield _block(rows.numbers, rows.batch, rows.rejected, table, layout)


def _wanted(names: list[str], table: Table) -> list[str]:
    for column in table.columns:
        if column not in names:
            raise InputError(f"column {column} is missing; MovieLens' file has {', '.join(table.columns)}.")
    return list(table.columns)


def _text(data: bytes, number: int) -> str:
    """100K and 1M are Latin-1, 10M is UTF-8; the one is hardly ever valid as the other."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _lines_block(first: int, lines: list[str], table: Table, layout: Layout) -> Block:
    texts = pc.utf8_rtrim(pa.array(lines, pa.string()), "\r")
    cells = pc.split_pattern(texts, table.separator)
    whole = pc.equal(pc.list_value_length(cells), len(table.columns))
    rejected = [
        Rejected(first + index, "wrong number of columns", lines[index])
        for index, good in enumerate(whole.to_pylist())
        if not good and lines[index].strip()
    ]
    flat = cells.filter(whole).flatten()
    n, width = len(flat) // len(table.columns), len(table.columns)
    columns = [flat.take(pa.array(range(at, n * width, width), pa.int64())) for at in range(width)]
    numbers = pa.array(range(first, first + len(lines)), pa.int64()).filter(whole).to_pylist()
    return _block(numbers, pa.record_batch(columns, names=list(table.columns)), rejected, table, layout, lines)


def _block(
    numbers: Sequence[int],
    batch: pa.RecordBatch,
    rejected: list[Rejected],
    table: Table,
    layout: Layout,
    lines: Sequence[str] = (),
) -> Block:
    sep = table.separator

    def raw(index: int) -> str:
        return sep.join("" if cell is None else cell for cell in batch.slice(index, 1).to_pylist()[0].values())

    if table.kind == "behaviors":
        return table_block(numbers, _ratings(batch), rejected, layout, raw)
    make = item_row if table.kind == "items" else user_row
    return profile_block(numbers, [make(row) for row in batch.to_pylist()], raw, rejected, layout)


def _ratings(batch: pa.RecordBatch) -> pa.RecordBatch:
    user, item, rating, time = batch.columns
    event = pc.binary_join_element_wise("ml", user, item, time, "-", null_handling="replace", null_replacement="")
    kind = pa.array(["rating"] * batch.num_rows, pa.string())
    names = ["event_id", "user_id", "item_id", "event_time", "kind", "rating"]
    return pa.record_batch([event, user, item, time, kind, rating], names=names)


def item_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """An item as `ingest` reads it: its title and year are one text in MovieLens, "Toy Story (1995)".

    Args:
        row: cells of u.item, movies.dat or movies.csv by column.
    """
    item = row["item_id"] if "item_id" in row else row["movieId"]
    if "genres" in row:
        genres = [genre for genre in (row["genres"] or "").split("|") if genre and genre != "(no genres listed)"]
    else:
        genres = [genre for genre in GENRES if row[genre] == "1"]
    written = row["title"]
    if not written:
        return {"item_id": item, "title": written, "genres": sorted(genres)}
    parts = _TITLE.match(" ".join(written.split()))
    if parts is None:
        return {"item_id": item, "title": written.strip(), "genres": sorted(genres)}
    return {"item_id": item, "title": parts["title"], "year": int(parts["year"]), "genres": sorted(genres)}


def user_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A user as `ingest` reads it, without the postal code.

    Args:
        row: cells of u.user or users.dat by column. The latter gives groups of ages and numbers of occupations: the
            group's first year stands as the age, its bounds as `age_group`.
    """
    age, occupation = _whole(row["age"]), row["occupation"]
    user = {"user_id": row["user_id"], "age": age, "gender": row["gender"], "occupation": occupation}
    number = _whole(occupation)
    if isinstance(number, int):
        known = number < len(_OCCUPATIONS)
        user |= {"occupation": _OCCUPATIONS[number] if known else occupation, "age_group": _AGES.get(str(age))}
    return user


def _whole(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
