"""Consume: messages of a broker into the database, each exactly once.

How far a stream is read lies in PostgreSQL and moves in the transaction that stores the messages, so a consumer may
be killed at any point, or run twice: the next one goes on right behind what is stored. What the broker is told is
for its monitoring. A stream is never refused whole: its bad messages go to quarantine, batch by batch.
"""

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from types import FrameType
from typing import Any

from sqlalchemy import Engine

from liber_tasks.behavior.brokers.stream_store import COUNTS, Store, StreamReport, merged
from liber_tasks.behavior.brokers.streams import Away, Lost, Message, Reading, Topic, connect
from liber_tasks.behavior.files.formats import KINDS, Kind
from liber_tasks.config import Settings
from liber_tasks.db import database_errors
from liber_tasks.errors import InputError, LiberError, ServiceUnavailable
from liber_tasks.types import Progress, silent

REFRESH = 30.0  # seconds after which a busy consumer looks for new partitions
LONGEST_PAUSE = 2.0  # seconds between two attempts to reach a broker


@dataclass(frozen=True)
class ConsumeReport:
    """What a call of `consume` came to."""

    streams: tuple[StreamReport, ...]
    batches: int  # transactions

    @property
    def rows_read(self) -> int:
        """Messages stored or rejected now."""
        return sum(stream.rows_read for stream in self.streams)

    @property
    def accepted(self) -> int:
        """Messages that changed the database."""
        return sum(stream.accepted for stream in self.streams)

    @property
    def duplicates(self) -> int:
        """Messages that said what was there already."""
        return sum(stream.duplicates for stream in self.streams)

    @property
    def rejected(self) -> int:
        """Messages sent to quarantine."""
        return sum(stream.rejected for stream in self.streams)

    @property
    def refused(self) -> int:
        """Messages of erased users."""
        return sum(stream.refused for stream in self.streams)

    @property
    def reasons(self) -> dict[str, int]:
        """Messages rejected or refused by reason, commonest first."""
        return merged(self.streams)

    def to_dict(self) -> dict[str, Any]:
        """Totals, then each stream, as JSON types."""
        totals = (*COUNTS, "batches", "reasons")
        return {name: getattr(self, name) for name in totals} | {"streams": [asdict(item) for item in self.streams]}


def consume(
    engine: Engine,
    settings: Settings,
    url: str,
    *,
    kind: Kind = "behaviors",
    batch: int = 5000,
    wait: float = 1.0,
    until_idle: float | None = None,
    stop: Callable[[], bool] = lambda: False,
    skip_lost: bool = False,
    patience: float = 60.0,
    now: datetime | None = None,
    progress: Progress = silent,
) -> ConsumeReport:
    """Store the messages of a topic as they come, until told to stop.

    A message is one JSON object, as a line of a JSONL file; it passes the same checks. In the quarantine a message
    is numbered by how many of its stream were read before it, plus one. A batch is what a file is to `ingest`:
    inside it behaviours are ordered by (event_time, event_id), batches follow each other as they arrive.

    Args:
        engine: LIBER database.
        settings: `max_future` is used.
        url: kafka://broker:9092,.../topic, redis://host:6379/database/key or rediss://...; user:password@ before
            the host and ?option=value of the client after the name where the broker wants them.
        kind: what the messages are: behaviors, items or users.
        batch: messages of one stream in one transaction, at most.
        wait: seconds to gather a batch, at most.
        until_idle: stop after so many seconds without a message, counted from the end of every stream; None: go on.
        stop: asked between batches; True ends the call once the batch at hand is stored.
        skip_lost: go on behind messages that the broker deleted before they were read; without it they are an error.
        patience: seconds to try to reach a broker that does not answer.
        now: the clock against which a future event is judged; None: the database's, for each batch.
        progress: told the messages read so far, and in the label what was rejected or skipped.

    Returns:
        Counts and reasons of each stream, of this call; the database holds those of all calls.

    Raises:
        InputError: the URL means no stream, or there is no such topic.
        LiberError: messages that were not read are gone; says which. Everything before is stored.
        ServiceUnavailable: broker or database cannot be reached. Everything reported before is stored.
    """
    if kind not in KINDS:
        raise InputError(f"Kind {kind!r} is unknown: use behaviors, items or users.")
    if batch < 1:
        raise InputError(f"batch == {batch}, must be at least 1.")
    if now is not None and now.tzinfo is None:
        raise InputError(f"now == {now.isoformat()} has no time zone: give one, such as {now.isoformat()}+00:00.")
    with closing(connect(url)) as topic, database_errors():
        store = Store(engine, settings, kind, now)
        return _Consumer(topic, store, batch, wait, until_idle, stop, skip_lost, patience, progress).run()


@contextmanager
def stopped_by_signals() -> Iterator[Callable[[], bool]]:
    """`stop` for `consume` that SIGINT and SIGTERM make True; a second signal acts as it did before."""
    caught: list[int] = []
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class _Consumer:
    """One call of `consume`."""

    topic: Topic
    store: Store
    batch: int
    wait: float
    until_idle: float | None
    stop: Callable[[], bool]
    skip_lost: bool
    patience: float
    progress: Progress
    keys: Mapping[str, str] = field(default_factory=dict)  # stream -> its name that stays the same
    known: dict[str, str | None] = field(default_factory=dict)  # stream -> position in the database
    reports: dict[str, StreamReport] = field(default_factory=dict)
    batches: int = 0
    looked: float = float("-inf")  # when the broker was last asked for its streams
    away_since: float | None = None

    def run(self) -> ConsumeReport:
        """Read and store until told to stop."""
        quiet_since: float | None = None  # since when every stream is at its end
        while not self.stop():
            reading = self._read()
            if reading is None:
                continue
            for stream, messages in reading.messages.items():
                self._store(stream, messages)
            if not reading.at_end:
                quiet_since = None
                continue
            quiet_since = quiet_since or time.monotonic()
            if self.until_idle is not None and time.monotonic() - quiet_since >= self.until_idle:
                break
        return ConsumeReport(tuple(self.reports.values()), self.batches)

    def _read(self) -> Reading | None:
        """What there is to store; None: something had to be settled first, ask again."""
        try:
            if time.monotonic() - self.looked > REFRESH:
                self._look()
            reading = self.topic.read(self.batch * max(1, len(self.known)), self.wait)
            if not reading.messages and self._look():  # also tells silence from a broker that is away
                reading = Reading()
        except Lost as lost:
            self._lost(lost)
            return None
        except Away as reason:
            self._pause(reason)
            return None
        self.away_since = None
        return reading

    def _look(self) -> bool:
        """Ask which streams there are; those met first are read from where the database says. True if any was."""
        self.keys = self.topic.streams()
        met = [stream for stream in self.keys if stream not in self.known]
        for stream in met:
            position = self.store.position(self.keys[stream])
            self.topic.go(stream, position)
            self._join(stream, position)
        self.looked = time.monotonic()
        return bool(met)

    def _join(self, stream: str, position: str | None) -> None:
        self.known[stream] = position
        self.reports.setdefault(stream, StreamReport(stream, position))

    def _meet_again(self, stream: str) -> None:
        """Another consumer has moved the position: go on from there."""
        del self.known[stream]
        self.looked = float("-inf")

    def _store(self, stream: str, messages: Sequence[Message]) -> None:
        for start in range(0, len(messages), self.batch):
            part = messages[start : start + self.batch]
            done = self.store.add(stream, self.keys[stream], self.known[stream], part)
            if done is None:
                self._meet_again(stream)
                return
            self.known[stream] = done.position
            self.batches += 1
            self.reports[stream].add(done)
            self.topic.tell({stream: str(done.position)})
            bad = ", ".join(f"{reason} ({n})" for reason, n in done.reasons.items())
            self._show(f"consume {stream}" + (f", rejected: {bad}" if bad else ""))

    def _lost(self, lost: Lost) -> None:
        """Messages are gone: not for us if another consumer has read them; else an error, or skipped on request."""
        position = self.store.position(self.keys[lost.stream])
        if position != self.known.get(lost.stream, position):
            self._meet_again(lost.stream)
            return
        if not self.skip_lost:
            raise LiberError(
                f"{lost.stream}: {lost.what}. To go on without them, run again with --skip-lost (skip_lost=True)."
            )
        self.topic.skip(lost.stream)
        self._join(lost.stream, position)
        self.reports[lost.stream].lost.append(lost.what)
        self._show(f"consume {lost.stream}, skipped: {lost.what}")

    def _pause(self, reason: Away) -> None:
        """Wait before the broker is tried again: longer each time, and not for ever."""
        now = time.monotonic()
        self.away_since = self.away_since or now
        away = now - self.away_since
        if away >= self.patience:
            advice = "Check the broker, then run again: the reading goes on where it stopped."
            raise ServiceUnavailable(f"{self.topic.name} cannot be reached: {reason}. {advice}") from reason
        time.sleep(min(max(0.1, away), LONGEST_PAUSE, self.patience - away))

    def _show(self, label: str) -> None:
        self.progress(sum(report.rows_read for report in self.reports.values()), None, label)
