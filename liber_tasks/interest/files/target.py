"""A file that is exported: written whole, with the digest of its lines, or not at all."""

import gzip
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Protocol

from liber_tasks.errors import InputError, LiberError
from liber_tasks.interest.files.fields import Malformed
from liber_tasks.types import Progress

ROWS_READ = 2_000  # texts in memory at once


class _Line(Protocol):
    @property
    def name(self) -> str: ...

    def line(self) -> bytes: ...


def write(
    path: Path, texts: Iterable[_Line], header: Callable[[int, str], bytes], progress: Progress
) -> tuple[int, str]:
    """Write a header and texts behind it; how many texts, and the digest of their lines.

    Args:
        path: file to write; compressed where it ends in .gz. A file of this name is replaced, at the very end.
        texts: in the order of the file.
        header: makes the first line of the number of texts and their digest.
        progress: told about texts read.

    Raises:
        InputError: the file cannot be written.
        LiberError: a text is one that no import would take; names it.
    """
    with _file_errors(path), TemporaryFile(dir=path.parent) as lines:
        digest, number = hashlib.sha256(), 0
        for text in texts:
            line = _line(text)
            lines.write(line)
            digest.update(line)
            number += 1
            if number % ROWS_READ == 0:
                progress(number, None, "texts exported")
        lines.seek(0)
        with _replacing(path) as file:
            file.write(header(number, digest.hexdigest()))
            shutil.copyfileobj(lines, file, 2**20)
    progress(number, number, "texts exported")
    return number, digest.hexdigest()


def _line(text: _Line) -> bytes:
    try:
        return text.line()
    except Malformed as error:
        raise LiberError(f"The {text.name} cannot be exported: {error}.") from None


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name once it is whole and on the disk; until then a file of that name stays as it was."""
    unfinished = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        with unfinished.open("xb") as raw:
            if path.suffix == ".gz":  # neither name nor time: equal texts, equal bytes
                with gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
                    yield packed  # type: ignore[misc]
            else:
                yield raw
            raw.flush()
            os.fsync(raw.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}; name another.") from None
