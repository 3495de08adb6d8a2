"""The database's side of a message stream: its position, and batches that move it."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row

from liber_tasks.behavior.brokers.streams import Message
from liber_tasks.behavior.files.blocks import LAYOUTS, Block, Rejected
from liber_tasks.behavior.files.formats import Kind
from liber_tasks.behavior.files.jsonl import lines_block
from liber_tasks.behavior.files.lines import MAX_LINE_BYTES
from liber_tasks.behavior.load import MAX_RAW, Load
from liber_tasks.config import Settings
from liber_tasks.db import query

COUNTS = ("rows_read", "accepted", "duplicates", "rejected", "refused")


@dataclass
class StreamReport:
    """What one stream came to in one call: rows_read = accepted + duplicates + rejected + refused."""

    source: str
    position: str | None = None  # where to read on, in the broker's own form
    rows_read: int = 0
    accepted: int = 0  # behaviours appended; items or users that are new or changed
    duplicates: int = 0  # events known already; items or users that say nothing new
    rejected: int = 0
    refused: int = 0  # messages of erased users
    reasons: dict[str, int] = field(default_factory=dict)  # reason -> messages rejected or refused
    lost: list[str] = field(default_factory=list)  # what was gone and skipped on request

    def add(self, batch: "StreamReport") -> None:
        """Count a batch of the same stream."""
        self.position = batch.position
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(batch, name))
        self.reasons = merged([self, batch])


def merged(reports: Iterable[StreamReport]) -> dict[str, int]:
    """Reasons of several reports, commonest first."""
    total: Counter[str] = Counter()
    for report in reports:
        total.update(report.reasons)
    return dict(total.most_common())


@dataclass(frozen=True)
class Store:
    """The database's side: positions and batches."""

    engine: Engine
    settings: Settings
    kind: Kind
    now: datetime | None

    def position(self, key: str) -> str | None:
        """Where a stream is to be read on."""
        with self.engine.connect() as connection:
            row = self._row(connection, key)
        return row.position if row else None

    def add(self, source: str, key: str, known: str | None, messages: Sequence[Message]) -> StreamReport | None:
        """Store a batch and move the position behind it, in one transaction.

        Args:
            source: name of the stream for people.
            key: its name that stays the same.
            known: position that the messages follow.
            messages: at least one.

        Returns:
            What the batch came to; None, and nothing stored, when another consumer has moved the position.
        """
        with self.engine.begin() as connection:
            connection.execute(query("behavior/message_stream_add"), {**self._claim(key), "source": source})
            connection.execute(query("behavior/message_stream_lock"), self._claim(key))
            row = self._row(connection, key)
            if row is None or row.position != known:
                return None
            now = self.now or connection.execute(query("clock")).scalar_one()
            latest = now + timedelta(seconds=self.settings.max_future)
            with Load(connection, self.kind, row.file_id, latest) as load:
                load.add(_block(messages, row.rows_read + 1, self.kind))
                accepted = load.finish()
            report = StreamReport(
                source,
                position=messages[-1].after,
                rows_read=len(messages),
                accepted=accepted,
                duplicates=load.tally.good - accepted,
                rejected=load.tally.rejected,
                refused=load.tally.refused,
                reasons=dict(load.tally.all_reasons.most_common()),
            )
            connection.execute(
                query("behavior/message_stream_advance"),
                {"file_id": row.file_id, **{name: getattr(report, name) for name in ("position", *COUNTS)}},
            )
        return report

    def _row(self, connection: Connection, key: str) -> Row[Any] | None:
        return connection.execute(query("behavior/message_stream_read"), self._claim(key)).one_or_none()

    def _claim(self, key: str) -> dict[str, Any]:
        return {"sha256": hashlib.sha256(key.encode()).hexdigest(), "kind": self.kind}


def _block(messages: Sequence[Message], first: int, kind: Kind) -> Block:
    """Messages as rows of a file whose lines they were, numbered from `first`."""
    lines, numbers, rejected = [], [], []
    for number, message in enumerate(messages, start=first):
        wrong = message.wrong or _unreadable(message.value)
        text = (message.value or b"")[: 4 * MAX_RAW if wrong else None].decode(errors="replace")
        if wrong:
            rejected.append(Rejected(number, wrong, text))
        else:
            lines.append(text)
            numbers.append(number)
    block = lines_block(lines, numbers, LAYOUTS[kind])
    return Block(block.rows, block.raw, [*rejected, *block.rejected])


def _unreadable(value: bytes | None) -> str | None:
    """Why a message cannot be a line, or None."""
    if value is None or not value.strip():
        return "the message is empty"
    if len(value) > MAX_LINE_BYTES:
        return f"the message is longer than {MAX_LINE_BYTES} bytes"
    try:
        value.decode()
    except UnicodeDecodeError:
        return "the message is not UTF-8"
    return None
