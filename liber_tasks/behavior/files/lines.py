"""Text files to numbered lines, a block at a time."""

from collections.abc import Callable, Iterator
from typing import IO

from liber_tasks.behavior.files.blocks import BLOCK_ROWS
from liber_tasks.errors import InputError

BLOCK_BYTES = 4 * 1024 * 1024
MAX_LINE_BYTES = 16 * 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def utf8(data: bytes, number: int) -> str:
    """`data`, which starts in line `number` of its file, as text. Raises InputError naming the line at fault."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = number + data.count(b"\n", 0, error.start)
        raise InputError(f"line {line} is not UTF-8; convert the file to UTF-8.") from None


def numbered_lines(
    file: IO[bytes], text: Callable[[bytes, int], str] = utf8, size: int | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Lines of a file without their ends, at most 65,536 at a time, with the number of the first, from 1.

    Args:
        file: open for reading; a byte order mark is skipped.
        text: turns bytes that start in a given line into text.
        size: bytes read at once; None: `BLOCK_BYTES`.

    Raises:
        InputError: a line is not text, or so long that there is no line at all.
    """
    size = size or BLOCK_BYTES
    number = 1
    rest = b""
    start = True
    while True:
        chunk = file.read(size)
        if start:
            chunk, start = chunk.removeprefix(BYTE_ORDER_MARK), False
            if not chunk:
                return
        data = rest + chunk
        cut = len(data) if not chunk else data.rfind(b"\n") + 1
        data, rest = data[:cut], data[cut:]
        if data:
            lines = text(data, number).split("\n")
            if not lines[-1]:
                lines.pop()
            for at in range(0, len(lines), BLOCK_ROWS):
                yield number + at, lines[at : at + BLOCK_ROWS] if len(lines) > BLOCK_ROWS else lines
            number += len(lines)
        if len(rest) > MAX_LINE_BYTES:
            raise InputError(f"line {number} is longer than {MAX_LINE_BYTES} bytes: cut it, or end lines with \\n.")
        if not chunk:
            return
