"""Promises about hostile files: of any format, each says what is wrong with it, where, and what to do."""

import json
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from sqlalchemy import Engine

from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from tests.behavior.files import behavior, write, write_jsonl, write_parquet, zipped
from tests.behavior.reading import GOOD, NOW, TIME, UTF8, blocks, every_format, every_text, judged, made, refused

# Nothing in it


@every_format
def test_an_empty_file_is_refused_packed_or_not(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert refused(tmp_path / name).endswith("the file is empty.")
    assert refused(zipped(tmp_path / name)).endswith("the file is empty.")


@pytest.mark.parametrize("name", ["e.csv", "e.parquet", "ratings.csv"])
def test_a_file_with_columns_and_no_rows_says_so(engine: Engine, settings: Settings, tmp_path: Path, name: str) -> None:
    path, _ = made(tmp_path, name, GOOD)
    if name == "e.parquet":
        parquet.write_table(parquet.read_table(path).slice(0, 0), path)
    else:
        path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(InputError, match=rf"{name}: the file has no rows"):
        ingest(engine, settings, [path], now=NOW)


# Not text


@pytest.mark.parametrize("name", UTF8)
def test_a_line_in_another_encoding_is_named(tmp_path: Path, name: str) -> None:
    path, first = made(tmp_path, name, *[GOOD] * 3, ("PLACE", "i", "4", TIME), GOOD)
    data = path.read_bytes().replace(b"PLACE", "café".encode("latin-1"))
    for written in (data, data.replace(b"\n", b"\r\n")):
        path.write_bytes(written)
        assert f"line {first + 3} is not UTF-8; convert" in refused(path)
        assert f"line {first + 3} is not UTF-8; convert" in refused(zipped(path))


@every_text
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_characters_are_known_as_such(tmp_path: Path, name: str, encoding: str) -> None:
    path, _ = made(tmp_path, name, GOOD, GOOD)
    path.write_bytes(path.read_text().encode(encoding))
    assert "UTF-16 or UTF-32; convert the file to UTF-8" in refused(path)


def test_parquet_whose_text_is_none_names_the_column(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "e.parquet", [behavior(1), behavior(2, item_id="PLACE")])
    table = parquet.read_table(path)
    broken = pa.array([b"i1", b"caf\xe9"]).cast(pa.binary()).view(pa.string())
    parquet.write_table(table.set_column(2, "item_id", broken), path)
    assert "column item_id, rows 1 to 2: a text is not UTF-8" in refused(path)


@every_format
def test_a_nul_byte_rejects_its_row(tmp_path: Path, name: str) -> None:
    path, first = made(tmp_path, name, GOOD, ("u\0x", "i1", "4", TIME), GOOD)
    reasons = "event_id contains a NUL byte", "user_id contains a NUL byte"
    n, ((line, reason),) = judged(path)
    assert (n, line) == (2, first + 1)
    assert reason in reasons


# Broken off


@every_format
@pytest.mark.parametrize("keep", [12, 0.5, -4])
def test_gzip_that_is_cut_is_refused(tmp_path: Path, name: str, keep: float) -> None:
    path, _ = made(tmp_path, name, *[(f"u{n * 7919}", f"i{n}", "4", TIME) for n in range(3000)])
    packed = zipped(path)
    data = packed.read_bytes()
    packed.write_bytes(data[: int(len(data) * keep) if keep == 0.5 else int(keep)])
    assert "gzip data is truncated or corrupt" in refused(packed)


def test_a_quote_left_open_and_a_row_without_end_are_told_with_their_line(tmp_path: Path) -> None:
    rows = ["u1,1", *["u2,2"] * 10, 'u3,"3', *["u4,4"] * 2_000_000]
    (tmp_path / "u.csv").write_text("user_id,age\n" + "\n".join(rows) + "\n")
    assert "quote" in refused(tmp_path / "u.csv", "users")
    (tmp_path / "u.csv").write_text("user_id,age\nu1,1\nu2," + "x" * 25_000_000 + "\n")
    assert "line 3: a row is longer than 16777216 bytes" in refused(tmp_path / "u.csv", "users")


# Columns


@pytest.mark.parametrize("name", ["e.csv", "e.parquet"])
def test_a_column_that_is_there_twice_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, [behavior(1)])
    if name == "e.csv":
        path.write_text("".join(f"{line},{end}\n" for line, end in zip(path.read_text().splitlines(), ("kind", "play"),
                                                                      strict=True)))  # fmt: skip
    else:
        parquet.write_table(parquet.read_table(path).append_column("kind", pa.array(["play"])), path)
    assert "column 'kind' is there twice; keep one" in refused(path)


def test_of_a_json_key_that_is_there_twice_the_last_one_counts(tmp_path: Path) -> None:
    row = json.dumps(behavior(1))
    path = write_jsonl(tmp_path / "e.jsonl", [row.replace('"user_id"', '"user_id": "old", "user_id"')])
    assert blocks(path)[0].rows.column("user_id").to_pylist() == ["u1"]
    item = '{"item_id": "i", "title": "old", "title": "new", "year": 1, "year": 2}'
    (block,) = blocks(write_jsonl(tmp_path / "i.jsonl", [item]), "items")
    assert block.rows.drop_columns("line").to_pylist() == [
        {"item_id": "i", "title": "new", "attributes": '{"year": 2}'}
    ]


@pytest.mark.parametrize(
    ("column", "values"),
    [("user_id", pa.array([["u1"]])), ("user_id", pa.array([True])), ("event_id", pa.array([b"e1"])),
     ("item_id", pa.array([1.0])), ("kind", pa.array([{"a": 1}])), ("item_id", pa.array([NOW])),
     ("play_seconds", pa.array([timedelta(seconds=3)]))],
)  # fmt: skip
def test_a_parquet_column_of_a_type_it_cannot_be_is_named(tmp_path: Path, column: str, values: pa.Array) -> None:
    table = pa.Table.from_pylist([behavior(1)])
    path = tmp_path / "e.parquet"
    parquet.write_table(table.set_column(table.schema.names.index(column), column, values), path)
    assert f"column {column} holds " in refused(path)


@pytest.mark.parametrize("header", ["event_id\ruser_id\r", '"a\nb",c\n', "\n", "   \n", ",,\n", "x" * 200_000 + "\n"])
def test_a_header_that_is_none_is_refused(tmp_path: Path, header: str) -> None:
    (tmp_path / "u.csv").write_text(f"{header}u1,2\n")
    message = refused(tmp_path / "u.csv", "users")
    assert "header" in message or "column user_id is missing" in message


@pytest.mark.parametrize("name", ["e.csv", "u.data", "ratings.dat", "ratings.csv"])
def test_a_ragged_row_is_rejected_with_its_line(tmp_path: Path, name: str) -> None:
    path, first = made(tmp_path, name, GOOD, GOOD, GOOD)
    lines = path.read_text().splitlines()
    separator = {"u.data": "\t", "ratings.dat": "::"}.get(name, ",")
    lines[first] = f"{lines[first]}{separator}more"
    lines.append("few")
    path.write_text("\n".join(lines) + "\n")
    wrong = "wrong number of columns"
    assert judged(path) == (2, [(first + 1, wrong), (first + 3, wrong)])


@every_text
def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path, name: str) -> None:
    path, _ = made(tmp_path, name, *[(f"u{n}", "i", "4", TIME) for n in range(3)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert judged(path) == (3, [])
    assert [u for block in blocks(path) for u in block.rows.column("user_id").to_pylist()] == ["u0", "u1", "u2"]


# Values


@every_format
@pytest.mark.parametrize(
    ("time", "reason"),
    [("99999999999999", "event_time is in the future"), ("1714557600000", "event_time is in the future"),
     ("-1", "event_time is before 1970"), ("0001-01-01T00:00:00Z", "event_time is before 1970"),
     ("9999-12-31T23:59:59Z", "event_time is in the future"), ("1e300", "event_time is in the future"),
     ("1e3000", "event_time is not a time"), ("10000-01-01T00:00:00Z", "event_time is not a time"),
     ("2024-05-01T10:00:00", "event_time has no time zone"), ("never", "event_time is not a time")],
)  # fmt: skip
def test_an_absurd_time_rejects_its_row(tmp_path: Path, name: str, time: str, reason: str) -> None:
    path, first = made(tmp_path, name, GOOD, ("u2", "i2", "4", time))
    assert judged(path) == (1, [(first + 1, reason)])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_parquet_times_beyond_every_calendar_do_not_wrap_around(tmp_path: Path, unit: str) -> None:
    far = {"s": 2**53, "ms": 2**62, "us": 2**62, "ns": 2**62}[unit]
    ticks = pa.array([far, -far, 0, None], pa.int64()).cast(pa.timestamp(unit, "UTC"))
    rows = pa.Table.from_pylist([behavior(n) for n in range(4)])
    parquet.write_table(rows.set_column(3, "event_time", ticks), tmp_path / "e.parquet")
    n, bad = judged(tmp_path / "e.parquet")
    assert n == 1
    assert bad == [(1, "event_time is in the future"), (2, "event_time is before 1970"), (4, "event_time is missing")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [('{"user_id": ' + "1" * 5000 + "}", "user_id has the wrong type"),
     ('{"user_id": 1e400}', "user_id has the wrong type"), ('{"user_id": true}', "user_id has the wrong type"),
     ('{"user_id": "\\ud800"}', "not valid JSON"), ('{"a":' * 100_000, "not valid JSON"), ("\0", "not valid JSON"),
     ('{"user_id": NaN}', "not valid JSON"), ("[" * 100_000, "not a JSON object"),
     ('{"user_id": "u"} {}', "not valid JSON"),
     ('"' + "x" * 10**7, "not valid JSON")],
    ids=range(10),
)  # fmt: skip
def test_json_made_to_hurt_is_rejected_row_by_row(tmp_path: Path, row: str, reason: str) -> None:
    path = write_jsonl(tmp_path / "e.jsonl", [behavior(1), row, behavior(2)])
    assert judged(path) == (2, [(2, reason)])
