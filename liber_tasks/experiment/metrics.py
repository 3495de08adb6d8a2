"""Per-user daily metrics, materialised once: what every readout of an experiment reads.

Days are UTC days. Only days that the watermark has closed are stored; a closed day stays open to late plays while it
is among the `LATE_DAYS` newest and is final afterwards, so that results cannot change under a reader for ever.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection, Engine

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.experiment.stored import Experiment, load

PRE_DAYS = 7  # days before the experiment whose activity CUPED uses
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

    @property
    def pre_day(self) -> date:
        """First day of the pre-period, which ends before `first_day`."""
        return self.first_day - PRE_DAYS * DAY


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
    until_day = until.date() if until.time() == time() else until.date() + DAY
    return Window(watermark, until, complete, experiment.starts_at.date(), until_day)


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


def materialise(engine: Engine, name: str, watermark: datetime) -> int:
    """Fill liber.user_metric_day for an experiment's exposed users, up to the days the watermark has closed.

    Plays come from liber.simulated_play for a simulated experiment and from liber.behavior (kind play) otherwise.
    A user's plays count from the first exposure on; the `PRE_DAYS` days before the experiment are the pre-period.
    Days without a play have no row: readers count them as zero.

    Args:
        engine: LIBER database.
        name: of the experiment.
        watermark: event time up to which the data are complete, with time zone.

    Returns:
        Rows added or corrected; 0 on a re-run over the same data.

    Raises:
        InputError: the experiment is unknown or the watermark closes none of its days.
        ServiceUnavailable: the database cannot be reached.
    """
    with database_errors(), engine.begin() as connection:
        experiment = load(connection, name)
        view = window(experiment, watermark)
        key = {"experiment_key": experiment.experiment_key}
        connection.execute(query("experiment/lock_experiment"), key)
        last = connection.execute(query("experiment/newest_metric_day"), key).scalar_one()
        source = "materialise_simulated" if experiment.simulated else "materialise_behavior"
        rows = connection.execute(
            query(f"experiment/{source}"),
            {
                **key,
                "starts_at": experiment.starts_at,
                "until": view.until,
                "first_day": view.first_day,
                "pre_day": view.pre_day,
                "reopened_day": view.pre_day if last is None else max(view.pre_day, last - (LATE_DAYS - 1) * DAY),
                **({"until_day": view.until_day} if experiment.simulated else {}),
            },
        ).rowcount
        if rows:
            connection.execute(query("experiment/analyze_metric"))
    return rows
