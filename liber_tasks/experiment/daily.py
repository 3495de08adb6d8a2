"""What the readout DAG does for one day, callable without Airflow. A day of an experiment is named `name@until`."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from liber_tasks.config import Settings
from liber_tasks.db import connect, database_errors, query
from liber_tasks.experiment.alarms import alarms
from liber_tasks.experiment.calibration import calibrate_experiment
from liber_tasks.experiment.metrics import LATE_DAYS
from liber_tasks.experiment.publish import publish
from liber_tasks.experiment.readout import readout
from liber_tasks.experiment.stored import load
from liber_tasks.types import Progress

SIMULATED = "liber-memory-simulated"


def due(settings: Settings, params: Mapping[str, Any], watermark: datetime | None, progress: Progress) -> list[str]:
    """Names of the experiments to read: the one that was asked for, or all that the day may add to.

    Args:
        settings: `database_url`.
        params: `experiment` (None: all), `simulate` (plant the paper's lifts first).
        watermark: of the run; None: now.
        progress: of the simulation.
    """
    engine = connect(settings)
    if params["simulate"]:
        from liber_tasks.experiment.simulate import simulate

        name = params["experiment"] or SIMULATED
        simulate(engine, name=name, progress=progress)
        return [name]
    if params["experiment"]:
        return [params["experiment"]]
    with database_errors(), engine.connect() as connection:
        bounds = {"watermark": watermark or datetime.now().astimezone(), "late_days": LATE_DAYS}
        return list(connection.execute(query("experiment/due"), bounds).scalars())


def read(settings: Settings, experiment: str, watermark: datetime | None, progress: Progress) -> str:
    """Read an experiment; returns the day's name."""
    record = readout(connect(settings), experiment, watermark=watermark, progress=progress)
    return f"{experiment}@{record.method['days'][1]}"


def alarms_of(settings: Settings, day: str) -> list[str]:
    """What of a day's record must wake somebody up."""
    record = _record(settings, day)
    return alarms(record) if record else []


def finish(settings: Settings, day: str, progress: Progress) -> bool:
    """Calibrate the final readout and, where there is MLflow, publish it; False: the experiment is not over."""
    record = _record(settings, day)
    if not record or not record["complete"]:
        return False
    name = day.rpartition("@")[0]
    calibrate_experiment(connect(settings), name, progress=progress)
    if settings.mlflow_tracking_uri:
        publish(connect(settings), settings, name)
    return True


def _record(settings: Settings, day: str) -> dict[str, Any] | None:
    name, _, until = day.rpartition("@")
    with database_errors(), connect(settings).connect() as connection:
        key = {"experiment_key": load(connection, name).experiment_key, "until_day": date.fromisoformat(until)}
        found = connection.execute(query("experiment/newest_readout"), key).one_or_none()
    return dict(found.result) if found else None
