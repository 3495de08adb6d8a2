"""Files read and judged for the tests, and one row in the way of each format."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from liber_tasks.behavior.checks import check
from liber_tasks.behavior.sources import LAYOUTS, Block, Kind, find
from liber_tasks.errors import InputError
from tests.behavior.files import behavior, write, write_jsonl

NOW = datetime(2024, 6, 1, tzinfo=UTC)
TIME = "1714557600"


def blocks(path: Path, kind: Kind = "behaviors") -> list[Block]:
    return list(find([path])[0].blocks(LAYOUTS[kind]))


def judged(path: Path, kind: Kind = "behaviors") -> tuple[int, list[tuple[int, str]]]:
    """How many rows are good; line and reason of the others."""
    checked = [check(block, kind, NOW + timedelta(days=1)) for block in blocks(path, kind)]
    bad = [(row.line, row.reason) for part in checked for row in part.rejected]
    return sum(part.good.num_rows for part in checked), sorted(bad)


def refused(path: Path, kind: Kind = "behaviors") -> str:
    with pytest.raises(InputError) as caught:
        judged(path, kind)
    message = str(caught.value)
    assert message.startswith(f"{path}: "), message
    assert "\n" not in message
    return message


# One row (user, item, rating, time) in the way of each format. `first` is the line of the first row.


def amazon_row(user: str, item: str, rating: str, time: str) -> dict[str, Any]:
    return {"reviewerID": user, "asin": item, "overall": rating, "unixReviewTime": time}


def separated(separator: str, header: str = "") -> Callable[[Path, list[tuple[str, ...]]], Path]:
    def make(path: Path, rows: list[tuple[str, ...]]) -> Path:
        path.write_text(header + "".join(separator.join(row) + "\n" for row in rows), encoding="utf-8", newline="")
        return path

    return make


def ours(path: Path, rows: list[tuple[str, ...]]) -> Path:
    names = ("user_id", "item_id", "rating", "event_time")
    full = [behavior(n, **dict(zip(names, row, strict=True)), play_seconds=None) for n, row in enumerate(rows)]
    return write(path, full)


def amazon(path: Path, rows: list[tuple[str, ...]]) -> Path:
    return write_jsonl(path, [amazon_row(*row) for row in rows])  # type: ignore[arg-type]


MAKERS: dict[str, tuple[Callable[[Path, list[tuple[str, ...]]], Path], int]] = {
    "e.jsonl": (ours, 1),
    "e.csv": (ours, 2),
    "e.parquet": (ours, 1),
    "u.data": (separated("\t"), 1),
    "ratings.dat": (separated("::"), 1),
    "ratings.csv": (separated(",", "userId,movieId,rating,timestamp\n"), 2),
    "Books.json": (amazon, 1),
}
TEXTS = [name for name in MAKERS if name != "e.parquet"]
UTF8 = [name for name in TEXTS if name not in ("u.data", "ratings.dat")]  # those two may be Latin-1
every_format = pytest.mark.parametrize("name", MAKERS)
every_text = pytest.mark.parametrize("name", TEXTS)


def made(folder: Path, name: str, *rows: tuple[str, ...]) -> tuple[Path, int]:
    make, first = MAKERS[name]
    return make(folder / name, list(rows)), first


GOOD = ("u1", "i1", "4", TIME)
