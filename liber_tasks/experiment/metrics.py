"""Per-user metrics, materialised once: what every readout of an experiment reads.

Days are UTC days. Only days that the watermark has closed are stored; a closed day stays open to late plays while it
is among the `LATE_DAYS` newest and is final afterwards, so that results cannot change under a reader for ever. Totals
of each user follow day by day, and only of those users something has happened to.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, Engine

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.experiment.custom_days import store_days
from liber_tasks.experiment.stored import Experiment, load

LATE_DAYS = 2
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Window:
    """What of an experiment a watermark shows; times are UTC."""

    watermark: datetime
    until: datetime  # exclusive: end of the last closed day, or of the experiment
    complete: bool  # the experiment is over
    first_day: date  # the experiment's first day
    until_day: date  # first day that is not read
    pre_day: date  # first day of the pre-period, which ends before `first_day`


def window(experiment: Experiment, watermark: datetime) -> Window:
    """The closed days of an experiment at a watermark.

    Args:
        experiment: its start and end bound the window.
        watermark: event time up to which plays and exposures have arrived, with time zone.

    Raises:
        InputError: the watermark has no zone, or closes no day of the experiment.
    """
    if watermark.tzinfo is None:
        raise InputError(f"Watermark {watermark.isoformat()} has no time zone: add one, such as +00:00.")
    watermark = watermark.astimezone(UTC)
    complete = watermark >= experiment.ends_at
    until = experiment.ends_at if complete else datetime.combine(watermark.date(), time(), UTC)
    if until <= experiment.starts_at:
        raise InputError(
            f"Experiment {experiment.name!r} starts at {experiment.starts_at.isoformat()}: the watermark "
            f"{watermark.isoformat()} closes none of its days. Read it a day later."
        )
    until_day = first_day_from(until)
    first_day = experiment.starts_at.date()
    return Window(watermark, until, complete, first_day, until_day, first_day - experiment.plan.pre_days * DAY)


def first_day_from(moment: datetime) -> date:
    """The first day that begins at a moment (UTC) or after it."""
    return moment.date() if moment.time() == time() else moment.date() + DAY


def newest(connection: Connection, experiment: Experiment) -> datetime:
    """The watermark that the stored plays themselves give; the experiment's end at most.

    Raises:
        InputError: there is no play at all.
    """
    source = "newest_simulated" if experiment.simulated else "newest_behavior"
    parameters = {"experiment_key": experiment.experiment_key} if experiment.simulated else {}
    found = connection.execute(query(f"experiment/{source}"), parameters).scalar_one()
    if found is None:
        raise InputError(f"Experiment {experiment.name!r} has no plays to read: ingest behaviours of kind play first.")
    return min(found.astimezone(UTC), experiment.ends_at)


def check_arrived(connection: Connection, experiment: Experiment, view: Window) -> None:
    """See that plays of the last day to read are there: a day that is still to come would be read as silence.

    Raises:
        InputError: the stored plays end before that day.
    """
    arrived = newest(connection, experiment)
    if arrived <= view.until - DAY:
        raise InputError(
            f"Experiment {experiment.name!r}: the day before {view.until.isoformat()} would be read, and the stored "
            f"plays end at {arrived.isoformat()}. Ingest the plays of that day first, or give an earlier watermark."
        )


def materialise(engine: Engine, name: str, watermark: datetime) -> int:
    """Store the metrics of an experiment's exposed users per day, and their totals, as the watermark shows them.

    Plays come from liber.simulated_play for a simulated experiment and from liber.behavior (kind play) otherwise.
    A user's plays count from the first exposure on; the days before the experiment are the pre-period. Days without a
    play have no row: readers count them as zero.

    Args:
        engine: LIBER database.
        name: of the experiment.
        watermark: event time up to which the data are complete, with time zone.

    Returns:
        Days of users added or corrected; 0 on a re-run over the same data.

    Raises:
        InputError: the experiment is unknown, the watermark closes none of its days, or the SQL of a metric fails.
        ServiceUnavailable: the database cannot be reached.
    """
    with database_errors(), engine.begin() as connection:
        experiment = load(connection, name)
        return advance(connection, experiment, window(experiment, watermark))


def advance(connection: Connection, experiment: Experiment, view: Window) -> int:
    """`materialise` in the caller's transaction, which then holds the experiment: its totals stay as they are."""
    key, plan = {"experiment_key": experiment.experiment_key}, experiment.plan
    connection.execute(query("experiment/lock_experiment"), key)
    last = connection.execute(query("experiment/newest_metric_day"), key).scalar_one()
    before = connection.execute(query("experiment/progress"), key).one_or_none()
    reopened = view.pre_day if last is None else max(view.pre_day, last - (LATE_DAYS - 1) * DAY)
    own = plan.own
    parameters: dict[str, Any] = {
        **key,
        "starts_at": experiment.starts_at,
        "ends_at": experiment.ends_at,
        "until": view.until,
        "pre_day": view.pre_day,
        "from_day": view.pre_day,
        "first_day": view.first_day,
        "until_day": view.until_day,
        "reopened_day": reopened,
        "moved_from": view.until_day if before is None else min(before.until_day, view.until_day),
        "moved_to": view.until_day if before is None else max(before.until_day, view.until_day),
        "pre_days": plan.pre_days,
        "bot_plays": plan.bots.plays_per_day,
        "bot_seconds": plan.bots.seconds_per_day,
        "custom": [metric.name for metric in own],
        "segments": list(plan.segments),
    }
    connection.execute(query("experiment/touched"))
    source = "materialise_simulated" if experiment.simulated else "materialise_behavior"
    stored = connection.execute(query(f"experiment/{source}"), parameters).rowcount
    stored += store_days(connection, own, parameters)
    if before is not None and before.until_day > view.until_day:  # a step back
        connection.execute(query("experiment/forget_unexposed"), parameters)
    connection.execute(query("experiment/fill_user_metric"), parameters)
    if before is None:
        connection.execute(query("experiment/analyze_metric"))
    connection.execute(query("experiment/fill_metric_age"), parameters)
    connection.execute(query("experiment/store_progress"), parameters)
    return stored
