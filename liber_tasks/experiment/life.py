"""The life of an experiment once it is defined: ramp, stop, archive; what there is."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.experiment.define import growing
from liber_tasks.experiment.stored import Experiment, every, load


@dataclass(frozen=True)
class Standing:
    """Where an experiment stands; times are UTC."""

    name: str
    state: str  # planned, running, over or archived
    hypothesis: str
    layer: str | None
    slot: tuple[int, int] | None
    traffic: float
    share: dict[str, float]  # arm to the share of all users that it gets
    starts_at: datetime
    ends_at: datetime
    stopped_at: datetime | None
    archived_at: datetime | None
    simulated: bool
    changed: bool = False  # by this call

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Exposures:
    """Users exposed so far."""

    control: int
    treatment: int
    crossed: int  # served the other arm, too
    first_at: datetime | None
    last_at: datetime | None


def ramp(engine: Engine, name: str, traffic: float, *, now: datetime | None = None) -> Standing:
    """Let this share of the slot in. It only grows once the experiment has begun; nobody changes the arm.

    Args:
        engine: LIBER database.
        name: of the experiment.
        traffic: share, above 0 to 1, resolved to 1/10000.
        now: clock; None: the system's.

    Raises:
        InputError: the experiment is unknown or over, or traffic would shrink or is no share.
        ServiceUnavailable: the database cannot be reached.
    """
    clock = now or datetime.now(UTC)
    if not 0 < traffic <= 1 or round(traffic, 4) != traffic:
        raise InputError(f"traffic is {traffic}: give a share from 0.0001 to 1 with at most four digits.")
    with database_errors(), engine.begin() as connection:
        experiment = _locked(connection, name)
        exposed = connection.execute(query("experiment/has_exposure"), _key(experiment)).scalar_one()
        growing(experiment, traffic, exposed, clock)
        if traffic != experiment.traffic:
            connection.execute(query("experiment/ramp"), {**_key(experiment), "traffic": traffic})
        return _standing(load(connection, name), clock, traffic != experiment.traffic)


def stop(engine: Engine, name: str, *, now: datetime | None = None) -> Standing:
    """End a running experiment now; one that is over stays as it is.

    Raises:
        InputError: the experiment is unknown, or has not begun.
        ServiceUnavailable: the database cannot be reached.
    """
    clock = now or datetime.now(UTC)
    with database_errors(), engine.begin() as connection:
        experiment = _locked(connection, name)
        state = experiment.state(clock)
        if clock <= experiment.starts_at and state != "archived":
            raise InputError(
                f"Experiment {name!r} starts at {experiment.starts_at.isoformat()}: there is nothing to stop. "
                "Archive it, and it never runs."
            )
        if state == "running":
            connection.execute(query("experiment/stop"), {**_key(experiment), "now": clock})
        return _standing(load(connection, name), clock, state == "running")


def archive(engine: Engine, name: str, *, now: datetime | None = None) -> Standing:
    """Hide an experiment that is over, or that has not begun and never shall; it takes no exposures any more.

    Raises:
        InputError: the experiment is unknown, or still runs.
        ServiceUnavailable: the database cannot be reached.
    """
    clock = now or datetime.now(UTC)
    with database_errors(), engine.begin() as connection:
        experiment = _locked(connection, name)
        state = experiment.state(clock)
        if state == "running":
            raise InputError(
                f"Experiment {name!r} runs until {experiment.ends_at.isoformat()}: stop it before you archive it."
            )
        if state != "archived":
            connection.execute(query("experiment/archive"), {**_key(experiment), "now": clock})
        return _standing(load(connection, name), clock, state != "archived")


def standings(engine: Engine, *, archived: bool = False, now: datetime | None = None) -> list[Standing]:
    """All experiments, the last to start first; those archived only if asked for.

    Raises:
        ServiceUnavailable: the database cannot be reached.
    """
    clock = now or datetime.now(UTC)
    with database_errors(), engine.connect() as connection:
        found = [_standing(experiment, clock) for experiment in every(connection)]
    return [one for one in found if archived or one.state != "archived"]


def standing(engine: Engine, name: str, *, now: datetime | None = None) -> tuple[Standing, Experiment, Exposures]:
    """Where one experiment stands, all that defines it, and who was exposed.

    Raises:
        InputError: the experiment is unknown.
        ServiceUnavailable: the database cannot be reached.
    """
    with database_errors(), engine.connect() as connection:
        experiment = load(connection, name)
        counts = connection.execute(query("experiment/exposure_counts"), _key(experiment)).mappings().one()
        return _standing(experiment, now or datetime.now(UTC)), experiment, Exposures(**counts)


def _locked(connection: Connection, name: str) -> Experiment:
    connection.execute(query("experiment/lock_life"), {"name": name})
    return load(connection, name)


def _key(experiment: Experiment) -> dict[str, int]:
    return {"experiment_key": experiment.experiment_key}


def _standing(experiment: Experiment, now: datetime, changed: bool = False) -> Standing:
    let_in = experiment.assignment.share
    return Standing(
        name=experiment.name,
        state=experiment.state(now),
        hypothesis=experiment.hypothesis,
        layer=experiment.layer,
        slot=experiment.slot,
        traffic=experiment.traffic,
        share={
            "control": round(let_in * experiment.control_share, 8),
            "treatment": round(let_in * experiment.treatment_share, 8),
        },
        starts_at=experiment.starts_at,
        ends_at=experiment.ends_at,
        stopped_at=experiment.stopped_at,
        archived_at=experiment.archived_at,
        simulated=experiment.simulated,
        changed=changed,
    )
