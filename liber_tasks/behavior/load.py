"""Load: checked rows into stage and quarantine, then from the stage into the tables, inside one transaction.

Files and streams share it: what may enter, what is a duplicate and what is refused is decided here for both.
"""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg2
import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder, encoders, schema
from sqlalchemy import Connection

from liber_tasks.behavior.checks import check
from liber_tasks.behavior.sources import Block, Kind, Rejected
from liber_tasks.db import query
from liber_tasks.errors import ServiceUnavailable

MAX_RAW = 2_000  # characters of a rejected row that are kept

_REJECTED_SCHEMA = pa.schema(
    [("file_id", pa.int64()), ("line", pa.int64()), ("reason", pa.string()), ("raw", pa.string())]
)
# Between a full stage and its tables; the last statement returns how many rows were new or changed.
_STEPS: dict[Kind, tuple[str, ...]] = {
    "behaviors": ("analyze_behaviors", "add_users", "add_items", "add_streams", "lock_streams", "append"),
    "items": ("analyze_items", "upsert_items"),
    "users": ("analyze_users", "upsert_users"),
}


@dataclass
class Tally:
    """Rows of one load so far."""

    good: int = 0
    reasons: Counter[str] = field(default_factory=Counter)  # reason -> rejected rows
    first_line: dict[str, int] = field(default_factory=dict)  # reason -> where it was met first

    @property
    def rejected(self) -> int:
        """Rows sent to quarantine."""
        return self.reasons.total()

    @property
    def rows(self) -> int:
        """Rows read."""
        return self.good + self.rejected


class Load:
    """One load: `add` blocks, then `finish`. The caller owns the transaction; without its commit nothing happened."""

    def __init__(self, connection: Connection, kind: Kind, file_id: int, latest: datetime) -> None:
        """Make the stage.

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
        connection.execute(query(f"behavior/stage_{kind}"))

    def add(self, block: Block) -> None:
        """Check a block; its good rows go to the stage, its bad ones to quarantine.

        Raises:
            ServiceUnavailable: the database went away or is full.
        """
        checked = check(block, self._kind, self._latest)
        _copy(self._connection, f"behavior/copy_{self._kind}", checked.good)
        _copy(self._connection, "behavior/copy_rejected", _quarantine(self._file_id, checked.rejected))
        for row in checked.rejected:
            self.tally.reasons[row.reason] += 1
            self.tally.first_line[row.reason] = min(row.line, self.tally.first_line.get(row.reason, row.line))
        self.tally.good += checked.good.num_rows

    def finish(self) -> int:
        """Empty the stage into the tables.

        Returns:
            Behaviours appended, or items or users that are new or changed.
        """
        accepted = 0
        for step in _STEPS[self._kind]:
            result = self._connection.execute(query(f"behavior/{step}"))
            accepted = int(result.scalar_one()) if result.returns_rows else 0
        return accepted


def _quarantine(file_id: int, rejected: Sequence[Rejected]) -> pa.RecordBatch:
    """Rejected rows as they are stored; PostgreSQL's text has no NUL, so a sign stands for it."""
    columns: list[list[Any]] = [
        [file_id] * len(rejected),
        [row.line for row in rejected],
        [row.reason for row in rejected],
        [row.raw[:MAX_RAW].replace("\0", "\N{SYMBOL FOR NULL}") for row in rejected],
    ]
    return pa.record_batch(columns, schema=_REJECTED_SCHEMA)


def _copy(connection: Connection, statement: str, batch: pa.RecordBatch) -> None:
    """Send a batch by binary COPY."""
    if not batch.num_rows:
        return
    builders = {column.name: ArrowToPostgresBinaryEncoder.infer_encoder(column) for column in batch.schema}
    for name in ("context", "attributes"):
        if name in builders:
            column = batch.schema.field(name)
            builders[name] = encoders.StringEncoderBuilder.new_with_output(column, schema.Jsonb())
    encoder = ArrowToPostgresBinaryEncoder.new_with_encoders(batch.schema, builders)
    data = io.BytesIO(encoder.write_header() + encoder.write_batch(batch) + encoder.finish())
    driver = connection.connection.cursor()
    try:
        driver.copy_expert(query(statement).text, data)
    except psycopg2.OperationalError as error:  # not through SQLAlchemy, so not translated by it
        reason = str(error).strip().splitlines()[0]
        raise ServiceUnavailable(f"PostgreSQL cannot do this: {reason}. Check the server, then run again.") from error
    finally:
        driver.close()
