"""Power before the start: what stored history says about the primary metrics, and how many users they need.

The past takes the experiment's place: the days before `until` as long as the experiment, and the pre-period before
them. Users with a behaviour in those days stand for those who will be exposed.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.experiment.assign import Assignment
from liber_tasks.experiment.custom_metric import check_metrics, rows_for
from liber_tasks.experiment.plan import BUILT_IN, Metric, Plan
from liber_tasks.experiment.power import History, detectable_effect, needed_users

DAY = timedelta(days=1)


@dataclass(frozen=True)
class MetricPower:
    """What one primary metric needs."""

    metric: str
    decides: str  # raw, cuped, capped or capped_cuped
    mean: float
    variance: float
    correlation: float  # with the pre-period; 0 where it is not adjusted for
    needed: dict[str, int]  # arm -> users, for the minimum detectable effect
    detectable: float | None  # relative, with the users expected; None: hardly anybody is expected in an arm
    enough: bool  # whether the users expected show the minimum detectable effect


@dataclass(frozen=True)
class PowerReport:
    """How an experiment is likely to go; from history, so it is a forecast."""

    first_day: date  # of the past period
    until_day: date  # first day after it
    pre_days: int
    users: int  # with a behaviour in the period
    expected: dict[str, int]  # arm -> users
    minimum_detectable_effect: float
    metrics: tuple[MetricPower, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def power(
    engine: Engine,
    plan: Plan,
    assignment: Assignment,
    length: timedelta,
    *,
    until: datetime | None = None,
) -> PowerReport:
    """Users each primary metric needs for the minimum detectable effect, and what the users expected can show.

    Args:
        engine: LIBER database; a role that reads, and may make temporary tables, is enough.
        plan: of the experiment.
        assignment: who gets in.
        length: of the experiment; counted in whole days, at least one.
        until: the past period ends with the day before; None: with the last day that stored behaviours have closed.

    Raises:
        InputError: there is no behaviour in the past period, or a primary metric is zero or the same for everybody.
        ServiceUnavailable: the database cannot be reached.
    """
    check_metrics(engine, plan.primary)
    days = max(1, -(-length // DAY))
    with database_errors(), engine.begin() as connection:
        end = _end(connection) if until is None else until.astimezone(UTC).date()
        first = end - days * DAY
        bounds = {"pre_day": first - plan.pre_days * DAY, "first_day": first, "until_day": end}
        rows = _moments(connection, plan, bounds)
    users = max((row["users"] for row in rows.values()), default=0)
    if not users:
        raise InputError(f"There is no behaviour from {first} to {end - DAY}: ingest it, or name another --until.")
    shares = {"control": assignment.control_share, "treatment": assignment.treatment_share}
    expected = {arm: round(users * assignment.share * share) for arm, share in shares.items()}
    return PowerReport(
        first_day=first,
        until_day=end,
        pre_days=plan.pre_days,
        users=users,
        expected=expected,
        minimum_detectable_effect=plan.minimum_detectable_effect,
        metrics=tuple(
            _metric(one, rows, days, shares, expected, plan.minimum_detectable_effect) for one in plan.primary
        ),
    )


def _end(connection: Connection) -> date:
    newest = connection.execute(query("experiment/newest_behavior")).scalar_one()
    if newest is None:
        raise InputError("There is no behaviour yet: ingest some before you ask what an experiment needs.")
    moment: datetime = newest
    return moment.astimezone(UTC).date()


def _moments(connection: Connection, plan: Plan, bounds: dict[str, date]) -> dict[tuple[str, bool], dict[str, Any]]:
    """(metric, capped) to its moments."""
    connection.execute(query("experiment/history"), {**bounds, **plan.bots.model_dump()})
    names = [metric.name for metric in plan.primary if metric.name in BUILT_IN]
    connection.execute(query("experiment/history_values"), {"metrics": names})
    for metric in plan.primary:
        if metric.sql is not None:
            around = query("experiment/history_custom").text
            statement = text(around.replace("JOIN metric_rows", f"JOIN (\n{rows_for(metric)}\n)"))
            between = {"from_day": bounds["pre_day"], "until_day": bounds["until_day"]}
            connection.execute(statement, {"metric": metric.name, "first_day": bounds["first_day"], **between})
    found = connection.execute(query("experiment/history_moments")).mappings()
    return {(row["metric"], row["capped"]): dict(row) for row in found}


def _metric(
    metric: Metric,
    rows: dict[tuple[str, bool], dict[str, Any]],
    days: int,
    shares: dict[str, float],
    expected: dict[str, int],
    effect: float,
) -> MetricPower:
    decides = str(metric.decides)
    row = rows[metric.name, "capped" in decides]
    if not row["mean"] or row["mean"] <= 0 or not row["variance"]:
        raise InputError(
            f"Metric {metric.name!r} is zero or the same for everybody in the past period: its power cannot be told."
        )
    rho = (row["correlation"] or 0.0) if "cuped" in decides else 0.0
    past = History(days, row["users"], row["mean"], row["variance"], rho)
    needed = dict(zip(shares, needed_users(past, effect, shares["control"], shares["treatment"]), strict=True))
    able = detectable_effect(past, *expected.values()) if min(expected.values()) >= 2 else None
    enough = able is not None and able <= effect
    return MetricPower(metric.name, decides, past.mean, past.variance, rho, needed, able, enough)
