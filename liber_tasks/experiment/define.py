"""Define an experiment: store it, change what may still change, refuse what may not.

Before it starts, and before anybody is exposed, a definition may be replaced. Afterwards who is in which arm, and how
the result is judged, are fixed: only the words of the hypothesis, the end, and traffic (upwards) may change.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.experiment.custom_metric import check_metrics
from liber_tasks.experiment.definition import Definition
from liber_tasks.experiment.plan import Plan
from liber_tasks.experiment.stored import Experiment, load

CHANGEABLE = ("hypothesis", "traffic", "ends_at")  # once it has begun


@dataclass(frozen=True)
class DefineReport:
    """What a call of `define` came to."""

    experiment: str
    created: bool
    changed: tuple[str, ...]  # fields that are other than before; empty: nothing was written, or it is new
    written: bool  # False: nothing had to be, or it was a check only

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def define(engine: Engine, definition: Definition, *, now: datetime | None = None, check: bool = False) -> DefineReport:
    """Store a definition; the same one again changes nothing.

    Args:
        engine: LIBER database.
        definition: all of it.
        now: the clock that says whether it has begun; None: the system's.
        check: do all but write.

    Raises:
        InputError: a metric's SQL does not do; the slot or the salt is another experiment's; the experiment has begun
            and a field that is fixed differs. Names it, and nothing is changed.
        ServiceUnavailable: the database cannot be reached.
    """
    clock = now or datetime.now(UTC)
    check_metrics(engine, definition.metrics)
    with database_errors(), engine.connect() as connection, connection.begin() as transaction:
        connection.execute(query("experiment/lock_definitions"))
        row = _row(definition)
        there = connection.execute(query("experiment/lock_life"), row).scalar_one_or_none() is not None
        changed = _changes(connection, definition, clock) if there else ()
        if there and not changed:
            return DefineReport(definition.name, False, (), False)
        _apart(connection, definition, row)
        connection.execute(query(f"experiment/{'redefine' if there else 'define'}"), row)
        if check:
            transaction.rollback()
    return DefineReport(definition.name, not there, changed, not check)


def growing(experiment: Experiment, traffic: float, exposed: bool, now: datetime) -> None:
    """See that traffic may become this. Raises InputError: it would shrink, or the experiment is over."""
    if traffic == experiment.traffic:
        return
    state = experiment.state(now)
    if state in ("over", "archived"):
        raise InputError(f"Experiment {experiment.name!r} is {state}: its traffic cannot change; define another.")
    if traffic < experiment.traffic and (exposed or state == "running"):
        raise InputError(
            f"Experiment {experiment.name!r} has traffic {experiment.traffic:g}, which only grows once it has begun: "
            f"users would drop out of it. Give more than {experiment.traffic:g}, or stop it and define another."
        )


def _changes(connection: Connection, definition: Definition, now: datetime) -> tuple[str, ...]:
    """Fields in which a definition differs from the experiment of its name. Raises InputError: one may not."""
    experiment = load(connection, definition.name)
    if experiment.simulated:
        raise InputError(f"Experiment {experiment.name!r} is simulated: choose another name.")
    before, after = _fields_of(experiment), definition.model_dump(exclude={"name"})
    changed = tuple(field for field in after if after[field] != before[field])
    state = experiment.state(now)
    exposed = connection.execute(
        query("experiment/has_exposure"), {"experiment_key": experiment.experiment_key}
    ).scalar_one()
    if not changed or (state == "planned" and not exposed):
        return changed
    if state == "archived":
        raise InputError(f"Experiment {experiment.name!r} is archived: define another name.")
    begun = f"has run since {experiment.starts_at.isoformat()}" if state != "planned" else "has exposed users"
    for field in changed:
        if field not in CHANGEABLE:
            raise InputError(
                f"Experiment {experiment.name!r} {begun}: its {field} is fixed at {_shown(before[field])}. "
                f"Put that back, or define another name; only {', '.join(CHANGEABLE)} may change."
            )
    growing(experiment, definition.traffic, exposed, now)
    if "ends_at" in changed:
        _movable(experiment, definition.ends_at, now)
    return changed


def _movable(experiment: Experiment, ends_at: datetime, now: datetime) -> None:
    if experiment.state(now) == "over":
        how = "was stopped" if experiment.stopped_at else "ended"
        raise InputError(
            f"Experiment {experiment.name!r} {how} at {experiment.ends_at.isoformat()} and is not taken up again: "
            "write that as ends_at, or define another name."
        )
    if ends_at <= now:
        raise InputError(
            f"ends_at is {ends_at.isoformat()}, which has passed: give a later one, or stop the experiment."
        )


def _apart(connection: Connection, definition: Definition, row: dict[str, Any]) -> None:
    """See that no other experiment has the salt, or buckets of the slot at the same time."""
    other = connection.execute(query("experiment/salt_conflict"), row).scalar_one_or_none()
    if other is not None:
        raise InputError(
            f"salt {definition.salt!r} is that of experiment {other!r}, whose arms would be the same users: "
            "choose another."
        )
    found = connection.execute(query("experiment/slot_conflict"), row).one_or_none()
    if found is not None:
        raise InputError(
            f"slot {list(definition.assignment.slot)} of layer {definition.layer!r} overlaps that of experiment "
            f"{found.name!r}, which has [{found.slot_first}, {found.slot_end}] from {found.starts_at.isoformat()} to "
            f"{found.ends_at.isoformat()}: choose other buckets or another time."
        )


def _row(definition: Definition) -> dict[str, Any]:
    first, end = definition.slot or (None, None)
    return {
        **definition.model_dump(include={"name", "hypothesis", "salt", "layer", "traffic", "starts_at", "ends_at"}),
        "slot_first": first,
        "slot_end": end,
        "control_share": definition.arms.control,
        "treatment_share": definition.arms.treatment,
        "definition": definition.model_dump_json(include=set(Plan.model_fields)),
    }


def _fields_of(experiment: Experiment) -> dict[str, Any]:
    """An experiment as the fields of a definition."""
    names = ("hypothesis", "salt", "layer", "slot", "traffic", "starts_at", "ends_at")
    arms = {"control": experiment.control_share, "treatment": experiment.treatment_share}
    return {**experiment.plan.model_dump(), **{name: getattr(experiment, name) for name in names}, "arms": arms}


def _shown(value: Any) -> str:
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
