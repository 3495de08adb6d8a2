"""The plan: a day's work, what is stored after years, what it costs a month."""

from dataclasses import asdict, dataclass
from typing import Any

from liber_tasks.capacity.inputs import Inputs
from liber_tasks.capacity.storage import Stored, stored, wal
from liber_tasks.capacity.work import HOUR, Work, gpu_seconds, tokens, work

YEARS = (1, 3, 5)
DAYS, MONTH = 365.0, 30.4


@dataclass(frozen=True)
class Growth:
    """After some years.

    Attributes:
        years: of a constant pace, from an empty database.
        stored: rows and bytes.
        gpu_hours: that all texts took, so about what a new prompt or model costs to make them anew.
        backup_bytes: base backups kept, and WAL for a restore to a moment.
    """

    years: int
    stored: Stored
    gpu_hours: float
    backup_bytes: float


@dataclass(frozen=True)
class Cost:
    """A month, in the currency of the prices: disk and backups as after the first year, training nightly."""

    gpus: float
    cores: float
    disk: float
    backups: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.gpus + self.cores + self.disk + self.backups


@dataclass(frozen=True)
class Plan:
    """What a platform of the inputs needs."""

    inputs: Inputs
    day: Work
    wal_bytes: float
    growth: tuple[Growth, ...]
    month: Cost

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; totals beside their parts."""
        growth = [asdict(each) for each in self.growth]
        for each, entry in zip(self.growth, growth, strict=True):
            entry["stored"]["total_bytes"] = each.stored.total
        return {"inputs": self.inputs.model_dump(), "day": asdict(self.day), "wal_bytes": self.wal_bytes,
                "growth": growth, "month": asdict(self.month) | {"total": self.month.total}}  # fmt: skip


def plan(given: Inputs) -> Plan:
    """Everything that follows from the inputs."""
    day = work(given)
    wal_bytes = wal(given, day)
    growth = tuple(_after(given, years, wal_bytes) for years in YEARS)
    daily_cores = day.encoder_cpu_hours + day.database_cpu_hours + day.learner_cpu_hours + day.ingest_cpu_hours
    core_hours = (daily_cores + day.training_cpu_hours) / given.utilisation + 24 * day.serving_processes
    month = Cost(
        gpus=day.gpus * 24 * MONTH * given.gpu_hour,
        cores=core_hours * MONTH * given.core_hour,
        disk=growth[0].stored.total / 1e9 * given.gb_month,
        backups=growth[0].backup_bytes / 1e9 * given.backup_gb_month,
    )
    return Plan(given, day, wal_bytes, growth, month)


def _after(given: Inputs, years: int, wal_bytes: float) -> Growth:
    found = stored(given, years * DAYS)
    shifts = found.partitions - found.learnt_users
    spent = gpu_seconds(given, *tokens(given, found.partitions, shifts, found.item_calls))
    backups = given.full_backups * found.total + given.wal_days * wal_bytes
    return Growth(years, found, spent / HOUR, backups)
