"""The readout of an experiment: lift, interval, checks; an immutable record in liber.readout.

Every aggregate is computed in the database; what reaches Python is one row an arm, whatever the number of users.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from typing import Any

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.experiment import statistics
from liber_tasks.experiment.assign import cuts
from liber_tasks.experiment.metrics import Experiment, Window, load, materialise, newest, window
from liber_tasks.experiment.record import Metric, Quality, Readout, from_dict
from liber_tasks.types import Progress, silent

METHOD = 1  # goes up whenever the same rows would give another record


def readout(engine: Engine, name: str, *, watermark: datetime | None = None, progress: Progress = silent) -> Readout:
    """Read an experiment: play count and play time per user and time per play, raw and CUPED (paper, Table 5).

    Materialises the metrics of closed days first. The same rows give the stored record back and no second one.

    Args:
        engine: LIBER database.
        name: of the experiment.
        watermark: event time up to which the data are complete, with time zone; without it, how far the stored plays
            have come.
        progress: told after each of three steps.

    Raises:
        InputError: the experiment is unknown, has no exposed user or no play, lacks an arm, or the watermark closes
            none of its days.
        ServiceUnavailable: the database cannot be reached.
    """
    with database_errors(), engine.connect() as connection:
        experiment = load(connection, name)
        view = window(experiment, newest(connection, experiment) if watermark is None else watermark)
    materialise(engine, name, view.watermark)
    progress(1, 3, "metrics per user and day")
    with database_errors(), _shared_with_ibis(engine) as connection:
        key = {"experiment_key": experiment.experiment_key}
        bounds = {"starts_at": experiment.starts_at, "until": view.until}
        days = {"pre_day": view.pre_day, "until_day": view.until_day}
        connection.execute(query("experiment/per_user"), {**key, **bounds, **days})
        outside = connection.execute(
            query("experiment/exposed_outside"),
            {**key, "starts_at": experiment.starts_at, "ends_at": experiment.ends_at},
        ).scalar_one()
        digest = _digest(connection, experiment, view, outside)
        progress(2, 3, "one row a user")
        stored = {**key, "input_sha256": digest}
        before = connection.execute(query("experiment/stored_readout"), stored).scalar_one_or_none()
        if before is None:
            record = _record(connection, experiment, view, outside, digest)
            result = json.dumps(record.to_dict(), allow_nan=False)
            made = connection.execute(
                query("experiment/store_readout"), {**stored, "watermark": view.watermark, "result": result}
            ).rowcount
            if made:
                progress(3, 3, "statistics")
                return replace(record, created=True)
            before = connection.execute(query("experiment/stored_readout"), stored).scalar_one()  # another run won
        progress(3, 3, "statistics")
        return from_dict(before)


@contextmanager
def _shared_with_ibis(engine: Engine) -> Iterator[Connection]:
    """A transaction on psycopg 3, the driver ibis needs, so that ibis sees its temporary tables."""
    shared = create_engine(engine.url.set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with shared.begin() as connection:
        yield connection


def _digest(connection: Connection, experiment: Experiment, view: Window, outside: int) -> str:
    rows = connection.execute(query("experiment/digest")).one()
    read = {
        "method": [METHOD, version("tea-tasting")],
        "experiment": [
            experiment.name, experiment.hypothesis, experiment.salt, experiment.control_share,
            experiment.treatment_share, experiment.starts_at.isoformat(), experiment.ends_at.isoformat(),
            experiment.simulated, experiment.parameters,
        ],
        "until": view.until.isoformat(),
        "exposed_outside": outside,
        "rows": list(rows),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


def _record(connection: Connection, experiment: Experiment, view: Window, outside: int, digest: str) -> Readout:
    control_end, treatment_end = cuts(experiment.control_share, experiment.treatment_share)
    arms = connection.execute(
        query("experiment/arm_counts"),
        {"salt": experiment.salt, "control_end": control_end, "treatment_end": treatment_end},
    ).all()
    users = {row.arm: row.users for row in arms}
    _check_arms(experiment, view, users)
    ratio = statistics.sample_ratio(
        users["control"], users["treatment"], experiment.control_share, experiment.treatment_share
    )
    if ratio.ok:
        metrics = _metrics(connection)
    else:
        reason = (
            f"Hidden: {ratio.observed_treatment:.2%} of the exposed users are treated where "
            f"{ratio.expected_treatment:.2%} should be (p = {ratio.p_value:.2g}). Find out what lost users first."
        )
        metrics = {one.name: statistics.hidden(one, reason) for one in statistics.METRICS}
    return Readout(
        experiment=experiment.name,
        hypothesis=experiment.hypothesis,
        simulated=experiment.simulated,
        planted=_planted(experiment),
        starts_at=experiment.starts_at.isoformat(),
        ends_at=experiment.ends_at.isoformat(),
        watermark=view.watermark.isoformat(),
        complete=view.complete,
        users={"control": users["control"], "treatment": users["treatment"]},
        sample_ratio=ratio,
        quality=Quality(sum(row.wrong_arm for row in arms), outside),
        metrics=metrics,
        method=_method(view),
        input_sha256=digest,
    )


def _check_arms(experiment: Experiment, view: Window, users: dict[str, int]) -> None:
    if not users:
        raise InputError(
            f"Experiment {experiment.name!r} has no exposed user between {experiment.starts_at:%Y-%m-%d} and "
            f"{view.until:%Y-%m-%d}: serve it, and log exposures in both arms, before reading it."
        )
    for arm in ("control", "treatment"):
        if users.get(arm, 0) < 2:
            raise InputError(
                f"Experiment {experiment.name!r} has {users.get(arm, 0)} exposed users in the {arm} arm: a comparison "
                "needs at least 2. Check that exposures are logged in both arms."
            )


def _metrics(connection: Connection) -> dict[str, Metric]:
    """Read all aggregates in one query through ibis. Its `con.sql()` fails on PostgreSQL; a table by name works."""
    import ibis
    from tea_tasting.aggr import read_aggregates

    table = ibis.postgres.from_connection(connection.connection.driver_connection).table("per_user")
    columns = [one.estimator(adjusted=True).aggr_cols for one in statistics.METRICS]
    needed = columns[0] | columns[1] | columns[2]
    arms: dict[Any, Any] = read_aggregates(table, "arm", **needed._asdict())
    return {one.name: statistics.analyse(one, arms["control"], arms["treatment"]) for one in statistics.METRICS}


def _planted(experiment: Experiment) -> dict[str, float] | None:
    if not experiment.simulated:
        return None
    count, time = experiment.parameters["lift_play_count"], experiment.parameters["lift_play_time"]
    return {"play_count": count, "play_time": time, "time_per_play": (1 + time) / (1 + count) - 1}


def _method(view: Window) -> dict[str, Any]:
    return {
        "version": METHOD,
        "libraries": {name: version(name) for name in ("tea-tasting", "ibis-framework", "scipy")},
        "lift": "mean(treatment) / mean(control) - 1 over exposed users, days without a play as 0",
        "interval": "95 %, Welch's t, delta method on log(mean(treatment) / mean(control))",
        "p_value": "two-sided Welch's t of mean(treatment) - mean(control)",
        "cuped": "y - theta * (x - mean(x)), x the same metric in the pre-period, theta = cov(x, y) / var(x)",
        "sample_ratio": f"chi-square; p < {statistics.SRM_THRESHOLD} hides the lifts",
        "mde": f"two-sided, alpha {1 - statistics.CONFIDENCE:.2f}, power {statistics.POWER}",
        "days": [view.first_day.isoformat(), view.until_day.isoformat()],
        "pre_period": [view.pre_day.isoformat(), view.first_day.isoformat()],
        "sql": ["sql/queries/experiment/per_user.sql", "sql/queries/experiment/materialise_*.sql"],
    }
