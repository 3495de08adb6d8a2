"""Sources of rows: paths and URLs to files, files to Arrow blocks with line numbers and raw text.

A file that cannot be trusted as a whole (missing, truncated, wrong encoding, missing column) is an InputError;
a single row that cannot be read is a `Rejected` and the reading goes on.
"""

import glob
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

from liber_tasks.behavior.files import stores
from liber_tasks.behavior.files.blocks import LAYOUTS, Block, Layout, Rejected
from liber_tasks.behavior.files.formats import FORMATS, Format, Kind, format_of, movielens_table
from liber_tasks.behavior.files.opening import readable, unpacked
from liber_tasks.errors import InputError

__all__ = ["LAYOUTS", "Block", "Format", "Kind", "Layout", "Rejected", "Source", "find"]


@dataclass(frozen=True)
class Source:
    """A file to read."""

    path: Path  # where it lies on disk; of a remote file: only inside `on_disk`
    format: Format
    remote: stores.Remote | None = None

    @property
    def name(self) -> str:
        """What messages and the database call the file: its path or URL, without credentials."""
        return self.remote.name if self.remote else str(self.path)

    @contextmanager
    def on_disk(self) -> Iterator["Source"]:
        """The same source, on disk as long as the context lasts: what is digested is what is read.

        A local file is itself. A remote one is fetched, once, into a folder under TMPDIR that is removed afterwards.

        Raises:
            InputError: it is gone, access is refused, or it changed meanwhile.
            ServiceUnavailable: the store cannot be reached or the connection was lost.
            LiberError: it does not fit on the disk.
        """
        if self.remote is None:
            yield self
            return
        with tempfile.TemporaryDirectory(prefix="liber-ingest-") as folder:
            path = Path(folder) / "content"
            self.remote.fetch(path)
            yield replace(self, path=path)

    def sha256(self) -> str:
        """Digest of the file as it is stored, hexadecimal."""
        with readable(self.name), self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def stamp(self) -> tuple[int, int]:
        """Size in bytes and time of the last change: differs once somebody writes to the file."""
        with readable(self.name):
            status = self.path.stat()
        return status.st_size, status.st_mtime_ns

    def blocks(self, layout: Layout) -> Iterator[Block]:
        """The rows of the file, in order.

        Raises:
            InputError: the file cannot be read as a whole; names it, the column if one is missing, and what to do.
        """
        with readable(self.name), unpacked(self.path, self.name) as file:
            yield from _read(self.format, self.name, file, layout)


def _read(format: Format, name: str, file: IO[bytes], layout: Layout) -> Iterator[Block]:
    """Rows by the reader of the format; CSV and JSONL in MovieLens' or Amazon's columns by theirs."""
    from liber_tasks.behavior.files import amazon, columnar, jsonl, movielens_files, tables

    if format == "parquet":
        return columnar.read_parquet(file, layout)
    table = movielens_table(name)
    if format == "movielens" or (format == "csv" and table and movielens_files.has_header(file, table)):
        return movielens_files.read_movielens(file, name, layout)
    if format == "amazon" or (format == "jsonl" and amazon.is_amazon(file)):
        return amazon.read_amazon(file, layout)
    return tables.read_csv(file, layout) if format == "csv" else jsonl.read_jsonl(file, layout)


def find(paths: Sequence[str | Path], format: str | None = None, kind: Kind | None = None) -> list[Source]:
    """Files meant by paths, folders (searched through), glob patterns and URLs, in that order; inside, by name.

    Args:
        paths: files, folders or patterns, on disk or at a URL that an fsspec driver reads (s3://, gs://, https://).
        format: one of `FORMATS` for every file; None: by name (a further .gz is fine).
        kind: what is looked for; MovieLens' files of another kind are passed over in folders and patterns.

    Raises:
        InputError: nothing is there, a name says nothing, the format is unknown, or access is refused.
        ServiceUnavailable: a store cannot be reached.
    """
    if format is not None and format not in FORMATS:
        raise InputError(f"Format {format!r} is unknown: use {_or(FORMATS)}.")
    found: dict[str, Source] = {}
    for path in paths:
        for source in _sources(path, cast("Format | None", format), kind):
            found.setdefault(source.remote.url if source.remote else str(source.path.resolve()), source)
    if not found:
        raise InputError("No file was given: name files, folders or patterns.")
    return list(found.values())


def _sources(path: str | Path, format: Format | None, kind: Kind | None) -> Iterator[Source]:
    files: list[tuple[str, stores.Remote | None]]
    if isinstance(path, str) and stores.is_remote(path):
        shown = stores.shown(path)
        remotes, found = stores.listed(path)
        files = [(remote.name, remote) for remote in remotes]
    else:
        shown = str(stores.local(path))
        paths, found = _files(stores.local(path))
        files = [(str(file), None) for file in paths]
    if found != "file" and kind is not None:
        files = [(name, remote) for name, remote in files if not _of_another_kind(name, format, kind)]
    if found == "folder" and format is None:
        files = [(name, remote) for name, remote in files if format_of(name)]
    if not files:
        raise InputError(f"{shown}: it holds no file of {kind or 'rows'} in a known format; check it, or give one.")
    for name, remote in files:
        known = format or format_of(name)
        if known is None:
            raise InputError(f"{name}: the suffix names no format; give one ({_or(FORMATS)}).")
        yield Source(Path(name), known, remote)


def _of_another_kind(name: str, format: Format | None, kind: Kind) -> bool:
    table = movielens_table(name)
    return table is not None and table.kind != kind and (format or format_of(name)) == "movielens"


def _files(path: Path) -> tuple[list[Path], stores.Found]:
    if path.is_dir():
        inside = (file.relative_to(path) for file in path.rglob("*") if file.is_file())
        return [path / file for file in sorted(inside) if not stores.hidden(file.parts)], "folder"
    if path.exists():
        return [path], "file"
    matches = glob.glob(str(path), recursive=True)  # noqa: PTH207 Path.glob takes no absolute pattern
    files = sorted(Path(file) for file in matches if Path(file).is_file())
    if not files:
        raise InputError(f"{path}: no such file or folder; check the path.")
    return files, "pattern"


def _or(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
