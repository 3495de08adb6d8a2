"""Blocks of rows: what every reader gives and every check takes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from liber_tasks.behavior.files.formats import Kind

BLOCK_ROWS = 65_536  # no block has more, however short its rows are


@dataclass(frozen=True)
class Layout:
    """Columns of one kind of file."""

    kind: Kind
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    rest: bool = False  # every other column goes into one more, `attributes`, as a JSON object

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns a block has besides `line`."""
        return self.required + self.optional + (("attributes",) if self.rest else ())


LAYOUTS: dict[Kind, Layout] = {
    "behaviors": Layout(
        "behaviors",
        ("event_id", "user_id", "item_id", "event_time", "kind"),
        ("rating", "play_seconds", "context"),
    ),
    "items": Layout("items", ("item_id", "title"), rest=True),
    "users": Layout("users", ("user_id",), rest=True),
}


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that goes to quarantine."""

    line: int
    reason: str
    raw: str


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a file."""

    # `line` int64, then the layout's columns as strings; null = missing. event_time may be a timestamp[us, UTC].
    rows: pa.RecordBatch
    raw: Callable[[int], str]  # row -> as it stands in the file
    rejected: Sequence[Rejected]  # rows that could not even be split into columns
