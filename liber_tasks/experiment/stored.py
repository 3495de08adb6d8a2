"""Experiments as the database has them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from liber_tasks.db import query
from liber_tasks.errors import InputError
from liber_tasks.experiment.assign import BUCKETS, Assignment
from liber_tasks.experiment.plan import Plan

MOMENTS = ("starts_at", "ends_at", "stopped_at", "archived_at")


@dataclass(frozen=True)
class Experiment:
    """One row of liber.experiment; times are UTC."""

    experiment_key: int
    name: str
    hypothesis: str
    salt: str
    control_share: float
    treatment_share: float
    starts_at: datetime
    ends_at: datetime
    simulated: bool
    parameters: dict[str, Any]
    layer: str | None
    slot: tuple[int, int] | None  # of the layer's buckets; None: all
    traffic: float
    plan: Plan
    stopped_at: datetime | None
    archived_at: datetime | None

    @property
    def assignment(self) -> Assignment:
        """What decides who is in it."""
        slot = self.slot or (0, BUCKETS)
        return Assignment(self.salt, self.control_share, self.treatment_share, self.layer, slot, self.traffic)

    def state(self, now: datetime) -> str:
        """Where it is in its life: planned, running, over or archived."""
        if self.archived_at is not None:
            return "archived"
        if now < self.starts_at:
            return "planned"
        return "running" if now < self.ends_at else "over"


def load(connection: Connection, name: str) -> Experiment:
    """The experiment of that name. Raises InputError: there is none; names those there are."""
    row = connection.execute(query("experiment/experiment"), {"name": name}).mappings().one_or_none()
    if row is None:
        names = connection.execute(query("experiment/experiment_names")).scalars().all()
        known = f"there are {', '.join(map(repr, names))}" if names else "there is no experiment yet"
        raise InputError(f"Experiment {name!r} is unknown: {known}.")
    return _experiment(row)


def every(connection: Connection) -> list[Experiment]:
    """All experiments, the last to start first."""
    return [_experiment(row) for row in connection.execute(query("experiment/experiment"), {"name": None}).mappings()]


def _experiment(row: Any) -> Experiment:
    values = dict(row)
    for field in MOMENTS:
        values[field] = values[field] and values[field].astimezone(UTC)
    first, end = values.pop("slot_first"), values.pop("slot_end")
    values["slot"] = None if first is None else (first, end)
    values["plan"] = Plan.model_validate(values.pop("definition"))
    return Experiment(**values)
