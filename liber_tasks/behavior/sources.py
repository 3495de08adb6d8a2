"""Files as sources of rows: paths to files, files to Arrow blocks with line numbers and raw text.

A file that cannot be trusted as a whole (missing, truncated, wrong encoding, missing column) is an InputError;
a single row that cannot be read is a `Rejected` and the reading goes on.
"""

import glob
import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

import pyarrow as pa

from liber_tasks.errors import InputError

Kind = Literal["behaviors", "items", "users"]
Format = Literal["jsonl", "csv", "parquet"]

SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Layout:
    """Columns of one kind of file."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    rest: bool = False  # every other column goes into one more, `attributes`, as a JSON object

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns a block has besides `line`."""
        return self.required + self.optional + (("attributes",) if self.rest else ())


LAYOUTS: dict[Kind, Layout] = {
    "behaviors": Layout(
        ("event_id", "user_id", "item_id", "event_time", "kind"), ("rating", "play_seconds", "context")
    ),
    "items": Layout(("item_id", "title"), rest=True),
    "users": Layout(("user_id",), rest=True),
}


@dataclass(frozen=True)
class Rejected:
    """A row that goes to quarantine."""

    line: int
    reason: str
    raw: str


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a file."""

    rows: pa.RecordBatch  # `line` int64, then the layout's columns as strings; null = missing
    raw: Callable[[int], str]  # row -> as it stands in the file
    rejected: Sequence[Rejected]  # rows that could not even be split into columns


@dataclass(frozen=True)
class Source:
    """A file to read."""

    path: Path
    format: Format

    def sha256(self) -> str:
        """Digest of the file as it lies on disk, hexadecimal."""
        with readable(self.path), self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def stamp(self) -> tuple[int, int]:
        """Size in bytes and time of the last change: differs once somebody writes to the file."""
        with readable(self.path):
            status = self.path.stat()
        return status.st_size, status.st_mtime_ns

    def blocks(self, layout: Layout) -> Iterator[Block]:
        """The rows of the file, in order.

        Raises:
            InputError: the file cannot be read as a whole; names it, the column if one is missing, and what to do.
        """
        from liber_tasks.behavior import jsonl, tables

        with readable(self.path), _unpacked(self.path) as file:
            read = {"jsonl": jsonl.read_jsonl, "csv": tables.read_csv, "parquet": tables.read_parquet}[self.format]
            yield from read(file, layout)


def find(paths: Sequence[str | Path], format: str | None = None) -> list[Source]:
    """Files meant by paths, folders (searched through) and glob patterns, in that order; inside, by name.

    Args:
        paths: files, folders or patterns.
        format: jsonl, csv or parquet for every file; None: by suffix (a further .gz is fine).

    Raises:
        InputError: nothing is there, a suffix says nothing, or the format is unknown.
    """
    if format is not None and format not in SUFFIXES.values():
        raise InputError(f"Format {format!r} is unknown: use jsonl, csv or parquet.")
    found: dict[Path, Source] = {}
    for path in paths:
        for file in _files(Path(path), any_suffix=format is not None):
            known = cast("Format | None", format) or _format(file)
            if known is None:
                raise InputError(f"{file}: the suffix names no format; give one (jsonl, csv or parquet).")
            found.setdefault(file.resolve(), Source(file, known))
    if not found:
        raise InputError("No file was given: name files, folders or patterns.")
    return list(found.values())


def _files(path: Path, *, any_suffix: bool) -> list[Path]:
    if path.is_dir():
        inside = (file.relative_to(path) for file in path.rglob("*") if file.is_file())
        files = sorted(file for file in inside if not any(part.startswith((".", "_")) for part in file.parts))
        files = [path / file for file in files if any_suffix or _format(file)]
        if not files:
            raise InputError(f"{path}: the folder holds no .jsonl, .csv or .parquet file.")
        return files
    if path.exists():
        return [path]
    matches = glob.glob(str(path), recursive=True)  # noqa: PTH207 Path.glob takes no absolute pattern
    files = sorted(Path(file) for file in matches if Path(file).is_file())
    if not files:
        raise InputError(f"{path}: no such file or folder; check the path.")
    return files


def _format(path: Path) -> Format | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return SUFFIXES.get(suffixes[-1]) if suffixes else None


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        start = file.read(2)
        file.seek(0)
        if not start:
            raise InputError(f"{path}: the file is empty.")
        if start != _GZIP and path.suffix.lower() == ".gz":
            raise InputError(f"{path}: this is not gzip data; make the file anew or drop the suffix .gz.")
        if start != _GZIP:
            yield file
            return
        with gzip.open(file, "rb") as plain:
            yield cast("IO[bytes]", plain)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what goes wrong while reading `path` into one sentence that names it."""
    try:
        yield
    except InputError as error:
        raise error if str(error).startswith(f"{path}: ") else InputError(f"{path}: {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: {error.reason}: the file is not UTF-8; convert it to UTF-8.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: the gzip data is truncated or corrupt ({error}); make the file anew.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0].rstrip(".")
        advice = "convert it to UTF-8" if "UTF8" in reason or "utf" in reason else "check that it is whole"
        raise InputError(f"{path}: cannot be read: {reason}; {advice} and of the format its name says.") from error
