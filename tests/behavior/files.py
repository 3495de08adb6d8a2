"""Files of rows for the tests."""

import csv
import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def behavior(n: int = 1, **changes: Any) -> dict[str, Any]:
    """A good behaviour, the n-th of user u1; a change to None drops the key."""
    row = {
        "event_id": f"e{n}",
        "user_id": "u1",
        "item_id": f"i{n}",
        "event_time": f"2024-05-01T10:{n // 60 % 60:02}:{n % 60:02}Z",
        "kind": "play",
        "play_seconds": 30.5,
        **changes,
    }
    return {key: value for key, value in row.items() if value is not None}


def write_jsonl(path: Path, rows: Iterable[Row | str]) -> Path:
    """Rows as JSON lines; a text is written as it is."""
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def write_csv(path: Path, rows: Iterable[Row]) -> Path:
    """Rows as CSV, mappings and lists as JSON."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            writer.writerow({k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()})
    return path


def write_parquet(path: Path, rows: Iterable[Row]) -> Path:
    """Rows as Parquet, types as Arrow infers them."""
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)
    return path


def zipped(path: Path) -> Path:
    """The same file, gzipped, beside it."""
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return packed


def write(path: Path, rows: Iterable[Row]) -> Path:
    """Rows in the format that the file's name says; gzipped if it ends in .gz."""
    plain = path.with_name(path.name.removesuffix(".gz"))
    {".jsonl": write_jsonl, ".csv": write_csv, ".parquet": write_parquet}[plain.suffix](plain, rows)
    if path == plain:
        return path
    zipped(plain)
    plain.unlink()
    return path
