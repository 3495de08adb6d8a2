"""Files on disk, opened: unpacked when gzipped, and every trouble with them said in one sentence that names them."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from liber_tasks.errors import InputError

_GZIP = b"\x1f\x8b"


@contextmanager
def unpacked(path: Path, name: str) -> Iterator[IO[bytes]]:
    """The content of a file, at its start.

    Args:
        path: where the file lies.
        name: what it is called where it came from.

    Raises:
        InputError: it is empty, says .gz but is not, or is text of two or four bytes a character.
    """
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start.startswith(_GZIP):
            with gzip.open(file, "rb") as plain:
                _judge(plain.read(4))
                plain.seek(0)
                yield cast("IO[bytes]", plain)
            return
        _judge(start)
        if name.lower().endswith(".gz"):
            raise InputError("this is not gzip data; make the file anew or drop the suffix .gz.")
        yield file


def _judge(start: bytes) -> None:
    if not start:
        raise InputError("the file is empty.")
    zeros = "".join("0" if byte == 0 else "x" for byte in start)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or zeros in ("x0x0", "0x0x", "x000", "000x", "00xx"):
        raise InputError("line 1 is not UTF-8 but UTF-16 or UTF-32; convert the file to UTF-8.")


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turn what goes wrong while reading the file `name` into one sentence that names it."""
    try:
        yield
    except InputError as error:
        raise error if str(error).startswith(f"{name}: ") else InputError(f"{name}: {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: {error.reason}: the file is not UTF-8; convert it to UTF-8.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{name}: the gzip data is truncated or corrupt ({error}); make the file anew.") from error
    except pa.ArrowException as error:  # before OSError: some are both
        reason = str(error).splitlines()[0].rstrip(".")
        advice = "convert it to UTF-8" if "utf" in reason.lower() else "check that it is whole"
        raise InputError(f"{name}: cannot be read: {reason}; {advice} and of the format its name says.") from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}.") from error
