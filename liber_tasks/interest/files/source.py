"""A file that is imported, line by line: never more of it in memory than one line."""

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar, cast

from liber_tasks.errors import InputError
from liber_tasks.interest.files.fields import MAX_HEADER_BYTES, MAX_LINE_BYTES, Malformed

_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # what some editors write before the first line


class Source:
    """Lines of a file, and the number of the one that is read."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        """Read the first line."""
        self.path = path
        self.line = 1
        self._file = file
        with self.naming():
            self.first = file.readline(MAX_HEADER_BYTES).removeprefix(_BYTE_ORDER_MARK)

    def rest(self) -> Iterator[bytes]:
        """The lines behind the first. One that is too long ends early; the rest of it is the next, unless `skip_line`
        passes over it."""
        while True:
            self.line += 1
            line = self._file.readline(MAX_LINE_BYTES)
            if not line:
                return
            yield line

    def skip_line(self) -> None:
        """Pass over what is left of a line that is too long."""
        while (part := self._file.readline(MAX_LINE_BYTES)) and not part.endswith(b"\n"):
            pass

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Say of the line that is read what is wrong with it, in one sentence."""
        try:
            yield
        except (EOFError, zlib.error, gzip.BadGzipFile):
            reason = "the compressed data are damaged or cut off"
        except Malformed as error:
            reason = str(error)
        else:
            return
        raise InputError(f"{self.path}, line {self.line}: {reason}. Nothing was imported: get the file again.")


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """A file, compressed or not.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as raw:
            if raw.peek(2)[:2] != _GZIP:
                yield Source(path, raw)
                return
            with gzip.GzipFile(fileobj=raw) as packed, BufferedReader(cast(Any, packed), 2**18) as file:
                yield Source(path, file)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}; check the path.") from None


class _Placed(Protocol):
    @property
    def place(self) -> Any: ...

    @property
    def name(self) -> str: ...


_Text = TypeVar("_Text", bound=_Placed)


def sealed(source: Source, texts: int, sha256: str, read_text: Callable[[bytes], _Text]) -> Iterator[tuple[int, _Text]]:
    """Texts behind a header with their line numbers. The end is reached only if the file is as its header says.

    Args:
        source: of which the header is read.
        texts: how many there are, as the header says.
        sha256: of their lines, likewise.
        read_text: of one line.

    Raises:
        InputError: names the line that is not of the format, out of order, or there twice; or the header is not true.
    """
    digest, last = hashlib.sha256(), None
    with source.naming():
        for line in source.rest():
            digest.update(line)
            text = read_text(line)
            if last is not None and text.place <= last:
                raise Malformed(f"the {text.name} is {'there twice' if text.place == last else 'out of order'}")
            last = text.place
            yield source.line, text
        found = source.line - 2
        if found != texts:
            raise Malformed(f"the file ends after {found:,} texts, and its header says {texts:,}")
        if digest.hexdigest() != sha256:
            raise Malformed("the lines before do not have the digest that the header states: one was changed")
