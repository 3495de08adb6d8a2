"""Ingest: files into the database, each in one transaction.

A file is checked, its bad rows go to quarantine, its good ones are appended to their users' streams. Whatever
stops a load half-way leaves nothing of that file behind; running it again finishes the work, and a file loaded
before (known by its content) is a no-op.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from liber_tasks.behavior.load import Load, Tally
from liber_tasks.behavior.sources import LAYOUTS, Kind, Source, find
from liber_tasks.config import Settings
from liber_tasks.db import clock, database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.types import Progress, silent

TOLERATED = 10  # bad rows that a short file may have, whatever their share, as long as most rows are good


@dataclass(frozen=True)
class FileReport:
    """What one file came to: rows_read = accepted + duplicates + rejected + refused."""

    source: str
    kind: Kind
    sha256: str
    rows_read: int = 0
    accepted: int = 0  # behaviours appended; items or users that are new or changed
    duplicates: int = 0  # events known already; items or users that say nothing new
    rejected: int = 0
    refused: int = 0  # rows of erased users
    reasons: Mapping[str, int] = field(default_factory=dict)  # reason -> rows rejected or refused
    already_ingested: bool = False  # this content was loaded before: nothing was read, all counts are 0


@dataclass(frozen=True)
class IngestReport:
    """What a call of `ingest` came to."""

    files: tuple[FileReport, ...]

    @property
    def rows_read(self) -> int:
        """Rows of all files read now."""
        return sum(file.rows_read for file in self.files)

    @property
    def accepted(self) -> int:
        """Rows that changed the database."""
        return sum(file.accepted for file in self.files)

    @property
    def duplicates(self) -> int:
        """Rows that were there already."""
        return sum(file.duplicates for file in self.files)

    @property
    def rejected(self) -> int:
        """Rows sent to quarantine."""
        return sum(file.rejected for file in self.files)

    @property
    def refused(self) -> int:
        """Rows of erased users."""
        return sum(file.refused for file in self.files)

    @property
    def already_ingested(self) -> int:
        """Files whose content was loaded before."""
        return sum(file.already_ingested for file in self.files)

    @property
    def reasons(self) -> dict[str, int]:
        """Rows rejected or refused by reason, commonest first."""
        total: Counter[str] = Counter()
        for file in self.files:
            total.update(file.reasons)
        return dict(total.most_common())

    def to_dict(self) -> dict[str, Any]:
        """Totals, then each file, as JSON types."""
        totals = ("rows_read", "accepted", "duplicates", "rejected", "refused", "already_ingested", "reasons")
        return {name: getattr(self, name) for name in totals} | {"files": [asdict(file) for file in self.files]}


def ingest(
    engine: Engine,
    settings: Settings,
    paths: Sequence[str | Path],
    *,
    kind: Kind = "behaviors",
    format: str | None = None,
    now: datetime | None = None,
    progress: Progress = silent,
) -> IngestReport:
    """Load files of behaviours, items or users, in the order given.

    A file is refused whole when more than `max_rejected_share` of its rows are bad. So that one typing error does
    not refuse a short file, up to 10 bad rows pass into quarantine if at least half of the rows are good, unless
    the share is set to 0.

    Args:
        engine: LIBER database.
        settings: `max_rejected_share` and `max_future` are used.
        paths: files, folders or glob patterns, on disk or at URLs (s3://, gs://, https://); plain or gzipped.
        kind: what the rows are: behaviors, items or users.
        format: one of `formats.FORMATS`, for files whose name does not say it.
        now: the clock against which a future event is judged; None: the database's.
        progress: told the rows read of each file.

    Returns:
        Counts and reasons of each file.

    Raises:
        InputError: a file is missing, unreadable, empty, lacks a column or has too many bad rows. Nothing of that
            file is written; files before it stay loaded. Missing paths are found before anything is read.
        ServiceUnavailable: the database or an object store cannot be reached or went away.
    """
    if kind not in LAYOUTS:
        raise InputError(f"Kind {kind!r} is unknown: use behaviors, items or users.")
    if now and now.tzinfo is None:
        raise InputError(f"now == {now.isoformat()} has no time zone: give one, such as {now.isoformat()}+00:00.")
    sources = find(paths, format, kind)
    latest = (now or clock(engine)) + timedelta(seconds=settings.max_future)
    with database_errors():
        return IngestReport(tuple(_load(engine, settings, source, kind, latest, progress) for source in sources))


def _load(
    engine: Engine, settings: Settings, source: Source, kind: Kind, latest: datetime, progress: Progress
) -> FileReport:
    """Load one file; a remote one lies on disk meanwhile, so that what is digested is what is read."""
    with source.on_disk() as file:
        return _load_file(engine, settings, file, kind, latest, progress)


def _load_file(
    engine: Engine, settings: Settings, source: Source, kind: Kind, latest: datetime, progress: Progress
) -> FileReport:
    """Load one file in one transaction."""
    name = source.name
    before = source.stamp()
    sha256 = source.sha256()
    with engine.begin() as connection:
        claim = {"sha256": sha256, "kind": kind, "source": name}
        file_id = connection.execute(query("behavior/start_file"), claim).scalar_one_or_none()
        if file_id is None:
            return FileReport(name, kind, sha256, already_ingested=True)
        with Load(connection, kind, file_id, latest) as load:
            for block in source.blocks(LAYOUTS[kind]):
                load.add(block)
                progress(load.tally.rows, None, f"ingest {name.rpartition('/')[2]}")
            if source.stamp() != before:
                raise InputError(f"{name}: the file changed while it was read; run again once it is complete.")
            _refuse(name, load.tally, settings.max_rejected_share)
            accepted = load.finish()
        counts: dict[str, Any] = {
            "rows_read": load.tally.rows,
            "accepted": accepted,
            "duplicates": load.tally.good - accepted,
            "rejected": load.tally.rejected,
            "refused": load.tally.refused,
        }
        connection.execute(query("behavior/finish_file"), {"file_id": file_id, **counts})
    return FileReport(name, kind, sha256, reasons=dict(load.tally.all_reasons.most_common()), **counts)


def _refuse(name: str, tally: Tally, share: float) -> None:
    """Raise InputError for a file without rows or with too many bad ones."""
    if not tally.rows:
        raise InputError(f"{name}: the file has no rows.")
    if tally.rejected <= share * tally.rows:
        return
    if share == 0 or tally.rejected > TOLERATED or 2 * tally.rejected > tally.rows:
        reason, n = tally.reasons.most_common(1)[0]
        raise InputError(
            f"{name}: {tally.rejected} of {tally.rows} rows are bad, {share:.2%} are allowed; "
            f"the commonest reason is {reason!r} ({n} rows, first in line {tally.first_line[reason]}). "
            "Correct the file, or raise LIBER_MAX_REJECTED_SHARE."
        )
