"""Promises of finding and reading files: no broken file gets through, and each says what is wrong with it."""

import gzip
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from liber_tasks.behavior.sources import LAYOUTS, Block, Kind, find
from liber_tasks.errors import InputError
from tests.behavior.files import behavior, write_csv, write_jsonl, write_parquet, zipped


def read(path: Path, kind: Kind = "behaviors") -> list[Block]:
    return list(find([path])[0].blocks(LAYOUTS[kind]))


def lines(blocks: list[Block]) -> list[int]:
    return [line for block in blocks for line in block.rows.column("line").to_pylist()]


def refused(path: Path, kind: Kind = "behaviors") -> str:
    with pytest.raises(InputError) as caught:
        read(path, kind)
    message = str(caught.value)
    assert message.startswith(f"{path}: "), message
    assert "\n" not in message
    return message


# Finding


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.jsonl"):
        find([tmp_path / "nowhere.jsonl"])


def test_a_folder_gives_its_files_by_name_without_hidden_and_foreign_ones(tmp_path: Path) -> None:
    for name in ("b.csv", "a.jsonl", "part=1/c.parquet", "d.JSONL.GZ", "_SUCCESS", ".e.csv", "notes.txt", "_tmp/f.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [(str(source.path.relative_to(tmp_path)), source.format) for source in find([tmp_path])]
    assert found == [("a.jsonl", "jsonl"), ("b.csv", "csv"), ("d.JSONL.GZ", "jsonl"), ("part=1/c.parquet", "parquet")]


def test_a_pattern_and_a_path_that_meet_give_a_file_once(tmp_path: Path) -> None:
    for name in ("2.csv", "1.csv", "x.jsonl"):
        (tmp_path / name).touch()
    found = [source.path.name for source in find([tmp_path / "2.csv", str(tmp_path / "*.csv"), tmp_path / "x.jsonl"])]
    assert found == ["2.csv", "1.csv", "x.jsonl"]


def test_a_suffix_that_says_nothing_needs_a_format(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "events.log", [behavior()])
    with pytest.raises(InputError, match=r"events\.log: the suffix names no format"):
        find([path])
    assert find([path], "jsonl")[0].format == "jsonl"
    with pytest.raises(InputError, match="'xml'"):
        find([path], "xml")


def test_a_folder_without_data_and_no_path_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no"):
        find([tmp_path])
    with pytest.raises(InputError, match="No file"):
        find([])


# Broken files


@pytest.mark.parametrize("name", ["e.jsonl", "e.csv", "e.parquet", "e.jsonl.gz"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert "empty" in refused(tmp_path / name)


@pytest.mark.parametrize("write", [write_jsonl, write_csv])
def test_truncated_gzip_is_refused(tmp_path: Path, write) -> None:
    suffix = {"write_jsonl": "jsonl", "write_csv": "csv"}[write.__name__]
    packed = zipped(write(tmp_path / f"e.{suffix}", (behavior(n) for n in range(500))))
    packed.write_bytes(packed.read_bytes()[:-40])
    assert "truncated" in refused(packed)


def test_corrupt_gzip_and_a_false_suffix_are_refused(tmp_path: Path) -> None:
    packed = zipped(write_jsonl(tmp_path / "e.jsonl", (behavior(n) for n in range(500))))
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 0xFF
    packed.write_bytes(data)
    assert "corrupt" in refused(packed)
    packed.write_text("no gzip at all")
    assert "not gzip" in refused(packed)


@pytest.mark.parametrize("kind", ["e.jsonl", "e.csv"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_than_utf8_is_refused(tmp_path: Path, kind: str, encoding: str) -> None:
    write = write_jsonl if kind.endswith("jsonl") else write_csv
    plain = write(tmp_path / kind, [behavior(), behavior(2, item_id="PLACE")])
    plain.write_bytes(plain.read_text().replace("PLACE", "café").encode(encoding))
    assert "UTF-8" in refused(plain)


def test_parquet_that_is_none_or_is_cut_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "e.parquet", [behavior(n) for n in range(50)])
    path.write_bytes(path.read_bytes()[:-30])
    assert "cannot be read" in refused(path)
    path.write_text("event_id,user_id\n")
    assert "cannot be read" in refused(path)


@pytest.mark.parametrize("column", LAYOUTS["behaviors"].required)
@pytest.mark.parametrize("name", ["e.jsonl", "e.csv", "e.parquet"])
def test_a_missing_column_is_named(tmp_path: Path, name: str, column: str) -> None:
    write = {"jsonl": write_jsonl, "csv": write_csv, "parquet": write_parquet}[name.split(".")[1]]
    path = write(tmp_path / name, [behavior(n, **{column: None}) for n in range(3)])
    assert f"column {column} is missing" in refused(path)


@pytest.mark.parametrize(("kind", "column"), [("items", "item_id"), ("items", "title"), ("users", "user_id")])
def test_a_missing_column_of_a_profile_is_named(tmp_path: Path, kind: Kind, column: str) -> None:
    row = {"item_id": "i", "title": "t", "user_id": "u", "age": 3}
    del row[column]
    for path in (write_csv(tmp_path / "e.csv", [row]), write_jsonl(tmp_path / "e.jsonl", [row])):
        assert f"column {column} is missing" in refused(path, kind)


def test_csv_without_header_with_a_column_twice_or_an_open_quote_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text("\n1,2\n")
    assert "header" in refused(path)
    path.write_text("user_id,age,age\n1,2,3\n")
    assert "'age' is there twice" in refused(path, "users")
    path.write_text('user_id,age\nu1,"3\nu2,4\nu3,5\n')
    assert "quote" in refused(path, "users")


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(b'{"event_id": "' + b"x" * 25_000_000)
    assert "line 1 is longer" in refused(path)


def test_ids_written_as_floats_are_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "e.parquet", [behavior(user_id=1.0)])
    assert "column user_id holds floats" in refused(path)


# Lines and raw text


def test_jsonl_counts_empty_lines_but_does_not_read_them(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "e.jsonl", ["", behavior(1), "  ", behavior(2), "{oops", behavior(3), ""])
    (block,) = read(path)
    assert lines([block]) == [2, 4, 6]
    assert [(row.line, row.reason, row.raw) for row in block.rejected] == [(5, "not valid JSON", "{oops")]
    assert '"e3"' in block.raw(2)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    for write, name in ((write_jsonl, "e.jsonl"), (write_csv, "e.csv")):
        path = write(tmp_path / name, [behavior(1), behavior(2)])
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        (block,) = read(path)
        assert block.rows.column("event_id").to_pylist() == ["e1", "e2"]
        assert block.rows.column("play_seconds").to_pylist() == ["30.5", "30.5"]


def test_blocks_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("jsonl", "tables"):
        monkeypatch.setattr(f"liber_tasks.behavior.files.{module}.BLOCK_BYTES", 1000)
    for write, name, first in ((write_jsonl, "e.jsonl", 1), (write_csv, "e.csv", 2)):
        blocks = read(write(tmp_path / name, (behavior(n) for n in range(200))))
        assert len(blocks) > 5
        assert lines(blocks) == list(range(first, first + 200))
        assert [e for block in blocks for e in block.rows.column("event_id").to_pylist()] == [
            f"e{n}" for n in range(200)
        ]


def test_ragged_csv_rows_keep_every_line_number_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liber_tasks.behavior.files.tables.BLOCK_BYTES", 64)
    path = tmp_path / "u.csv"
    good = [f'u{n},"a ""b"",\n{n}"' for n in range(2, 60)]
    for n in range(0, 58, 7):
        good[n] = "too,many,columns"
    path.write_text("user_id,note\n" + "\n".join([*good, "few"]) + "\n")
    blocks = read(path, "users")
    users = [user for block in blocks for user in block.rows.column("user_id").to_pylist()]
    assert users == [f"u{line}" for line in lines(blocks)]
    bad = sorted((row.line, row.raw) for block in blocks for row in block.rejected)
    assert bad == [*((n + 2, "too,many,columns") for n in range(0, 58, 7)), (60, "few")]


def test_parquet_times_keep_their_moment_and_structures_become_json(tmp_path: Path) -> None:
    moment = datetime(2024, 5, 1, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    table = pa.table(
        {
            "event_id": pa.array(["e1"]).dictionary_encode(),
            "user_id": [7],
            "item_id": ["i"],
            "event_time": pa.array([moment], pa.timestamp("ns", "Europe/Paris")),
            "kind": ["play"],
            "rating": pa.array([float("nan")]),
            "context": [{"page": 1}],
        }
    )
    parquet.write_table(table, tmp_path / "e.parquet")
    (block,) = read(tmp_path / "e.parquet")
    row = block.rows.to_pylist()[0]
    assert row.pop("event_time") == moment.astimezone(UTC)
    assert row == {"line": 1, "event_id": "e1", "user_id": "7", "item_id": "i", "kind": "play", "rating": None,
                   "play_seconds": None, "context": '{"page": 1}'}  # fmt: skip


def test_gzip_is_known_by_its_bytes_not_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(gzip.compress(write_jsonl(tmp_path / "plain.jsonl", [behavior()]).read_bytes()))
    assert lines(read(path)) == [1]
