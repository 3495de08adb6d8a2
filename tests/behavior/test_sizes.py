"""Promises about size: neither a long field nor many short ones fill the memory, and none gets into the database."""

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from sqlalchemy import Engine

from liber_tasks.behavior.files.blocks import BLOCK_ROWS
from liber_tasks.behavior.files.formats import Kind
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from tests.behavior import state
from tests.behavior.files import behavior, write_csv, write_jsonl, write_parquet
from tests.behavior.reading import GOOD, blocks, every_format, judged, made, refused

BIG = "x" * 10_000_000


@every_format
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_field_of_ten_megabytes_never_gets_in(tmp_path: Path, name: str, place: int) -> None:
    row = list(GOOD)
    row[place] = BIG
    path, first = made(tmp_path, name, GOOD, tuple(row), GOOD)
    if name == "e.parquet":
        assert "holds a value of 10000000 bytes, 1048576 are allowed" in refused(path)
    else:
        n, ((line, _),) = judged(path)
        assert (n, line) == (2, first + 1)


@pytest.mark.parametrize("length", [5000, 70_000, 500_000, 10_000_000])
@pytest.mark.parametrize("column", ["title", "cast"])
@pytest.mark.parametrize("write_as", [write_jsonl, write_csv, write_parquet])
def test_a_long_text_of_an_item_stays_out_of_the_database(
    engine: Engine, settings: Settings, tmp_path: Path, write_as: Any, column: str, length: int
) -> None:
    rows = [{"item_id": "i1", "title": "good", "cast": "c"}, {"item_id": "i2", "title": "t", "cast": "d"}]
    rows[1][column] = "x" * length
    path = write_as(tmp_path / f"i.{write_as.__name__.removeprefix('write_')}", rows)
    kept = ["i1", "i2"] if (column, length) == ("cast", 5000) else ["i1"]
    if length == 10_000_000 and write_as is write_parquet:  # there a value is refused before it is unfolded
        kept = []
        with pytest.raises(InputError, match="holds a value of 10000000 bytes"):
            ingest(engine, settings, [path], kind="items")
    else:
        ingest(engine, settings, [path], kind="items")
    stored = state.rows(engine, "SELECT item_id, octet_length(title) < 4097 FROM liber.item ORDER BY item_id")
    assert stored == [(item, True) for item in kept]
    reason = "title is longer than 4096 bytes" if column == "title" else "attributes are longer than 65536 bytes"
    quarantined = state.rows(engine, "SELECT reason, length(raw) <= 2000 FROM liber.rejected_row")
    assert quarantined == ([(reason, True)] if kept == ["i1"] else [])


@pytest.mark.parametrize("write_as", [write_jsonl, write_csv, write_parquet])
def test_a_long_context_is_rejected_as_long(tmp_path: Path, write_as: Any) -> None:
    rows = [behavior(1, context={"a": "b"}), behavior(2, context={"a": "x" * 70_000})]
    path = write_as(tmp_path / f"e.{write_as.__name__.removeprefix('write_')}", rows)
    assert [reason for _, reason in judged(path)[1]] == ["context is longer than 65536 bytes"]


@pytest.mark.parametrize(("name", "line"), [("e.jsonl", "1\n"), ("u.csv", "x\n"), ("u.csv", "x,\n"), ("u.data", "x\n")])
def test_many_tiny_rows_come_in_blocks_of_bounded_length(tmp_path: Path, name: str, line: str) -> None:
    header = "user_id,age\n" if name == "u.csv" else ""
    (tmp_path / name).write_text(header + line * 150_000)
    kind: Kind = "users" if name == "u.csv" else "behaviors"
    sizes = [(block.rows.num_rows, len(block.rejected)) for block in blocks(tmp_path / name, kind)]
    assert sum(good + bad for good, bad in sizes) == 150_000
    assert max(good for good, _ in sizes) <= BLOCK_ROWS


def peak_megabytes(path: Path, kind: Kind) -> tuple[int, str]:
    """Memory that a fresh process needs at most for reading a file, and what it said.

    From /proc, because getrusage counts what the process was before it became this program: a copy of ours.
    """
    script = (
        "import re, sys\n"
        "from datetime import datetime, UTC\n"
        "from liber_tasks.behavior.sources import LAYOUTS, find\n"
        "from liber_tasks.behavior.checks import check\n"
        "try:\n"
        "    for block in find([sys.argv[1]])[0].blocks(LAYOUTS[sys.argv[2]]):\n"
        "        check(block, sys.argv[2], datetime.now(UTC))\n"
        "except Exception as error:\n"
        "    print(error, file=sys.stderr)\n"
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path), kind], capture_output=True, text=True, check=True)
    return int(done.stdout), done.stderr


def test_a_value_written_once_and_used_a_million_times_does_not_fill_the_memory(tmp_path: Path) -> None:
    for length, said in ((900_000, ""), (9_000_000, "holds a value of 9000000 bytes")):
        n = 300
        words = pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), pa.array(["x" * length]))
        table = pa.table({"item_id": [f"i{k}" for k in range(n)], "title": words, "cast": words})
        parquet.write_table(table, tmp_path / "i.parquet")
        peak, message = peak_megabytes(tmp_path / "i.parquet", "items")
        assert peak < 500
        assert said in message
        assert bool(message) == bool(said)


def test_gzip_that_unpacks_to_a_thousandfold_does_not_fill_the_memory(tmp_path: Path) -> None:
    for name, said in (("e.jsonl.gz", "longer than 16777216 bytes"), ("u.csv.gz", "longer than 16777216 bytes")):
        with gzip.open(tmp_path / name, "wb", compresslevel=1) as file:
            file.write(b"user_id,age\n" if "csv" in name else b'{"user_id": "')
            for _ in range(600):
                file.write(b"x" * 1_000_000)
        peak, message = peak_megabytes(tmp_path / name, "users")
        assert peak < 500
        assert said in message
