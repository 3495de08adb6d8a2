"""Retention: texts about partitions, raw rejected rows and the ledger of LLM calls go when they are old.

A bound is written down (liber.retention) and committed before anything goes. From then on nobody asks for, stores or
imports a text about a partition sealed before it, so what was removed is never asked again; a partition after a removed
one begins anew, like P_1. Vectors stay unless the policy says `all`: models train and serve as before. A run that is
broken off is finished by the next one; a second run of a day finds nothing.

Removed rows are dead tuples until VACUUM and lie in the write-ahead log and in backups until these are recycled.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine

from liber_tasks.config import Settings
from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.types import Progress, silent

USERS_A_BATCH = 2_000  # in one transaction
CALLS_A_BATCH = 20_000


@dataclass(frozen=True)
class Bounds:
    """What is older than these moments goes; None: it is kept.

    Attributes:
        texts: summaries and shifts of partitions sealed before.
        rejected: raw text of rows rejected before.
        calls: rows of the ledger closed before; those set aside stay, or they would be asked again.
        vectors: those of the partitions go with the texts.
        knowledge_version: whose texts; None: every version's.
    """

    texts: datetime | None
    rejected: datetime | None
    calls: datetime | None
    vectors: bool = False
    knowledge_version: str | None = None


@dataclass(frozen=True)
class RetentionReport:
    """What one call of `retain` did; of a dry run, what it would do.

    Attributes:
        bounds: as they were applied.
        removed: rows by what they are: texts, vectors, rejected, calls; errors of calls that are shortened.
        texts: of a dry run, by knowledge version.
        unread: of a dry run, partitions whose texts no encoder has read: they will never have a vector.
        dry_run: nothing was changed.
    """

    bounds: Bounds
    removed: Mapping[str, int]
    texts: Mapping[str, int] = field(default_factory=dict)
    unread: int = 0
    dry_run: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types, moments in ISO 8601."""
        moments = {name: value.isoformat() if isinstance(value, datetime) else value
                   for name, value in asdict(self.bounds).items()}  # fmt: skip
        return asdict(self) | {"bounds": moments}


def bounds_of(
    settings: Settings, *, now: datetime, older_than: timedelta | None = None, policy: str | None = None,
    knowledge_version: str | None = None,
) -> Bounds:  # fmt: skip
    """Moments that ages stand for, at midnight UTC: what is kept stays up to a day longer, and a day has one bound.

    Args:
        settings: `retain_*`, where nothing is given.
        now: with a time zone.
        older_than: age of everything.
        policy: texts or all.
        knowledge_version: of this version alone: raw rows and calls are kept.

    Raises:
        InputError: no age is given or set.
    """

    def moment(age: timedelta | None) -> datetime | None:
        age = older_than or age
        if age is None:
            return None
        return (now - age).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    of_all = knowledge_version is None
    found = Bounds(
        texts=moment(settings.retain_texts),
        rejected=moment(settings.retain_rejected) if of_all else None,
        calls=moment(settings.retain_calls) if of_all else None,
        vectors=(policy or settings.retain_policy) == "all",
        knowledge_version=knowledge_version,
    )
    if found.texts is found.rejected is found.calls is None:
        raise InputError("Nothing is too old: give --older-than 365d, or set LIBER_RETAIN_TEXTS, _REJECTED or _CALLS.")
    return found


def retain(engine: Engine, bounds: Bounds, *, dry_run: bool = False, progress: Progress = silent) -> RetentionReport:
    """Remove what is older than the bounds, a batch a transaction.

    Args:
        engine: LIBER database, as the owner of the schema.
        bounds: of each kind.
        dry_run: count, change nothing.
        progress: told about rows removed.

    Raises:
        InputError: there is no such knowledge version.
        ServiceUnavailable: the database cannot be reached; what went is counted, a re-run goes on.
    """
    with database_errors():
        _check(engine, bounds.knowledge_version)
        if dry_run:
            return _count(engine, bounds)
        removed: Counter[str] = Counter()
        for subject, work in (("texts", _texts), ("rejected", _rejected), ("calls", _calls)):
            before = getattr(bounds, subject)
            if before is not None:
                work(_Removal(engine, subject, before, bounds, removed, progress))
    return RetentionReport(bounds, dict(removed))


@dataclass(frozen=True)
class _Removal:
    """One subject's way through the database; its ledger row is there from the beginning."""

    engine: Engine
    subject: str
    before: datetime
    bounds: Bounds
    removed: Counter[str]
    progress: Progress

    def batches(self, each: Callable[[Connection, "_Batch"], bool]) -> None:
        """Write the bound down, then one transaction a call of `each`, until it says that nothing is left."""
        only_texts = self.subject == "texts"
        asked = {
            "subject": self.subject, "before": self.before, "vectors": only_texts and self.bounds.vectors,
            "knowledge_version": self.bounds.knowledge_version if only_texts else None,
        }  # fmt: skip
        with self.engine.begin() as connection:
            key = connection.execute(query("retention/begin"), asked).scalar_one()
        if only_texts:
            with self.engine.begin() as connection:  # who began to store a text before the bound comes to its end
                connection.execute(query("knowledge/lock_texts"))
        more = True
        while more:
            with self.engine.begin() as connection:
                more = each(connection, _Batch(self, connection, key))
        with self.engine.begin() as connection:
            connection.execute(query("retention/finish"), {"retention_key": key})


@dataclass(frozen=True)
class _Batch:
    """One transaction."""

    of: _Removal
    connection: Connection
    key: int

    def run(self, name: str, **parameters: Any) -> int:
        """Execute retention/`name`, and count what it removed."""
        rows = self.connection.execute(query(f"retention/{name}"), parameters | {"before": self.of.before}).rowcount
        if rows:
            counted = {"retention_key": self.key, "name": name, "rows": rows}
            self.connection.execute(query("retention/count_removed"), counted)
            self.of.removed[name] += rows
            self.of.progress(self.of.removed[name], None, f"{name} removed")
        return rows


def _texts(removal: _Removal) -> None:
    after = 0

    def users(connection: Connection, batch: _Batch) -> bool:
        nonlocal after
        asked = {"after": after, "most": USERS_A_BATCH}
        last = connection.execute(query("retention/users"), asked).scalar_one()
        if last is None:
            return False
        for name in ("texts", "errors", "vectors") if removal.bounds.vectors else ("texts", "errors"):
            batch.run(name, after=after, last_key=last, knowledge_version=removal.bounds.knowledge_version)
        after = last
        return True

    removal.batches(users)


def _rejected(removal: _Removal) -> None:
    with removal.engine.connect() as connection:
        files = list(connection.execute(query("retention/rejected_files"), {"before": removal.before}).scalars())

    def file(connection: Connection, batch: _Batch) -> bool:
        if files:
            batch.run("rejected", file_id=files.pop())
        return bool(files)

    removal.batches(file)


def _calls(removal: _Removal) -> None:
    removal.batches(lambda connection, batch: batch.run("calls", most=CALLS_A_BATCH) > 0)


def _check(engine: Engine, version: str | None) -> None:
    if version is not None:
        with engine.connect() as connection:
            found = connection.execute(query("interest/recipe"), {"knowledge_version": version}).first()
        if found is None:
            raise InputError(f"There is no knowledge version {version!r}: `liber retain --dry-run` names them.")


def _count(engine: Engine, bounds: Bounds) -> RetentionReport:
    version = {"knowledge_version": bounds.knowledge_version}
    with engine.connect() as connection:
        texts = connection.execute(query("retention/old_texts"), {"before": bounds.texts} | version).all()
        asked = asdict(bounds) | {"vectors": bounds.texts if bounds.vectors else None}
        others = connection.execute(query("retention/old_others"), asked).mappings().one()
    removed = {"texts": sum(row.texts for row in texts), **others}
    return RetentionReport(
        bounds,
        {name: rows for name, rows in removed.items() if rows},
        {row.knowledge_version: row.texts for row in texts},
        sum(row.unread for row in texts),
        True,
    )
