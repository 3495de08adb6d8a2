"""Load: rows are checked, the bad ones quarantined, the good ones kept; at the end all of it inside one transaction.

Files and streams share it: what may enter, what is a duplicate and what is refused is decided here for both.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from liber_tasks.behavior.checks import check
from liber_tasks.behavior.refuse import REFUSED, refuse
from liber_tasks.behavior.sources import Block, Kind, Rejected
from liber_tasks.behavior.store.append import Append
from liber_tasks.behavior.store.copying import copy_batch
from liber_tasks.behavior.store.upsert import Upsert

MAX_RAW = 2_000  # characters of a rejected row that are kept

_REJECTED_SCHEMA = pa.schema(
    [("file_id", pa.int64()), ("line", pa.int64()), ("reason", pa.string()), ("raw", pa.string())]
)


@dataclass
class Tally:
    """Rows of one load so far."""

    good: int = 0  # once finished: without those refused
    refused: int = 0  # of erased users; known once finished
    reasons: Counter[str] = field(default_factory=Counter)  # reason -> rejected rows
    first_line: dict[str, int] = field(default_factory=dict)  # reason -> where it was met first

    @property
    def rejected(self) -> int:
        """Rows sent to quarantine."""
        return self.reasons.total()

    @property
    def rows(self) -> int:
        """Rows read."""
        return self.good + self.rejected + self.refused

    @property
    def all_reasons(self) -> Counter[str]:
        """Rows that did not enter, rejected or refused, by reason."""
        return self.reasons + Counter({REFUSED: self.refused})


class Load:
    """One load: `add` blocks, then `finish`. The caller owns the transaction; without its commit nothing happened.

    A context: what it holds outside the database is gone at the end.
    """

    def __init__(self, connection: Connection, kind: Kind, file_id: int, latest: datetime) -> None:
        """Begin.

        Args:
            connection: open connection inside a transaction.
            kind: what the rows are.
            file_id: `ingest_file` that rejected rows belong to.
            latest: an event later than this is from the future.
        """
        self.tally = Tally()
        self._connection = connection
        self._kind: Kind = kind
        self._file_id = file_id
        self._latest = latest
        self._rows = Append(connection) if kind == "behaviors" else Upsert(connection, kind)

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._rows.close()

    def add(self, block: Block) -> None:
        """Check a block; its good rows are kept, its bad ones go to quarantine.

        Raises:
            ServiceUnavailable: the database went away or is full.
        """
        checked = check(block, self._kind, self._latest)
        if checked.good.num_rows:
            self._rows.add(checked.good)
        copy_batch(self._connection, "copy_rejected", _quarantine(self._file_id, checked.rejected))
        for row in checked.rejected:
            self.tally.reasons[row.reason] += 1
            self.tally.first_line[row.reason] = min(row.line, self.tally.first_line.get(row.reason, row.line))
        self.tally.good += checked.good.num_rows

    def finish(self) -> int:
        """Write the tables. Erased users are refused; until the end of the transaction none is erased.

        Returns:
            Behaviours appended, or items or users that are new or changed.
        """
        first_rejected = min(self.tally.first_line.values(), default=None)
        refuse(self._connection, self._kind, self._file_id, first_rejected)
        written = self._rows.finish()
        self.tally.refused = written.refused
        self.tally.good -= written.refused
        return written.accepted


def _quarantine(file_id: int, rejected: Sequence[Rejected]) -> pa.RecordBatch:
    """Rejected rows as they are stored; PostgreSQL's text has no NUL, so a sign stands for it."""
    columns: list[list[Any]] = [
        [file_id] * len(rejected),
        [row.line for row in rejected],
        [row.reason for row in rejected],
        [row.raw[:MAX_RAW].replace("\0", "\N{SYMBOL FOR NULL}") for row in rejected],
    ]
    return pa.record_batch(columns, schema=_REJECTED_SCHEMA)
