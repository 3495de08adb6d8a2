"""The readout of an experiment: lifts, intervals, checks; an immutable record in liber.readout.

Every aggregate is computed in the database; what reaches Python is a row an arm and segment, whatever the number of
users. Planned looks that nobody took are taken first, in order, so that a record holds all looks up to its own.
"""

import hashlib
import json
from dataclasses import replace
from datetime import datetime, time
from importlib.metadata import version
from typing import Any

from sqlalchemy import Connection, Engine

from liber_tasks import logs
from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.experiment import looks
from liber_tasks.experiment.analysis import Read, analyse
from liber_tasks.experiment.method import METHOD, described
from liber_tasks.experiment.metrics import Window, advance, check_arrived, newest, window
from liber_tasks.experiment.quality import quality, ratio
from liber_tasks.experiment.record import Readout, from_dict
from liber_tasks.experiment.statistics import ARMS
from liber_tasks.experiment.stored import Experiment, load
from liber_tasks.experiment.totals import Counts, Reader
from liber_tasks.types import Progress, silent


def readout(engine: Engine, name: str, *, watermark: datetime | None = None, progress: Progress = silent) -> Readout:
    """Read an experiment: every metric of its definition by every method (paper, Table 5, and what it leaves out).

    Materialises the metrics of closed days first. The same rows give the stored record back and no second one.

    Args:
        engine: LIBER database.
        name: of the experiment.
        watermark: event time up to which the data are complete, with time zone; without it, how far the stored plays
            have come.
        progress: told before each look, and at the end.

    Raises:
        InputError: the experiment is unknown, has no exposed user or no play, lacks an arm, the watermark closes
            none of its days, plays of the last day are missing, or the SQL of one of its metrics fails.
        ServiceUnavailable: the database cannot be reached.
    """
    with database_errors(), logs.stage("readout", experiment=name):
        with engine.connect() as connection:
            experiment = load(connection, name)
            view = window(experiment, newest(connection, experiment) if watermark is None else watermark)
            check_arrived(connection, experiment, view)
            read = [row.until_day for row in _earlier(connection, experiment, view)]
        missed = looks.missed(experiment, view.until_day, read)
        for done, day in enumerate(missed):
            progress(done, len(missed) + 1, f"look at the days before {day}")
            at = datetime.combine(day, time(), view.watermark.tzinfo)
            with engine.begin() as connection:
                _look(connection, experiment, window(experiment, at))
        progress(len(missed), len(missed) + 1, f"look at the days before {view.until_day}")
        with engine.begin() as connection:
            record = _look(connection, experiment, view)
        if record is None:
            raise _no_arms(experiment, view, engine)
    progress(len(missed) + 1, len(missed) + 1, "read")
    return record


def _look(connection: Connection, experiment: Experiment, view: Window) -> Readout | None:
    """The record of one day, stored now or before; None: an arm has hardly a user yet."""
    advance(connection, experiment, view)
    key = {"experiment_key": experiment.experiment_key}
    reader = Reader(connection, experiment.experiment_key)
    progress = connection.execute(query("experiment/progress"), key).one()
    if min(_counted(reader.counts).get(arm, 0) for arm in ARMS) < 2:
        return None
    earlier = _earlier(connection, experiment, view)
    outside = progress.exposed_outside
    digest = _digest(experiment, view, outside, reader.digest, [row.input_sha256 for row in earlier])
    stored = {**key, "input_sha256": digest}
    before = connection.execute(query("experiment/stored_readout"), stored).scalar_one_or_none()
    if before is not None:
        return from_dict(before)
    read = Read(
        totals=reader.totals(experiment.plan.own),
        ages=connection.execute(query("experiment/ages"), {**key, "until_day": view.until_day}).all(),
        exposed=progress.exposed,
        distribution=reader.distribution(),
        earlier=[from_dict(row.result) for row in earlier],
    )
    record = _record(experiment, view, read, outside, digest)
    result = json.dumps(record.to_dict(), allow_nan=False)
    row = {**stored, "watermark": view.watermark, "until_day": view.until_day, "result": result}
    connection.execute(query("experiment/store_readout"), row)
    return replace(record, created=True)


def _record(experiment: Experiment, view: Window, read: Read, outside: int, digest: str) -> Readout:
    counts = read.totals.counts
    checked = ratio(experiment, counts, outside)
    return Readout(
        experiment=experiment.name,
        hypothesis=experiment.hypothesis,
        simulated=experiment.simulated,
        planted=_planted(experiment),
        starts_at=experiment.starts_at.isoformat(),
        ends_at=experiment.ends_at.isoformat(),
        watermark=view.watermark.isoformat(),
        complete=view.complete,
        users=_counted(counts),
        sample_ratio=checked,
        quality=quality(counts, outside),
        metrics=analyse(experiment, view.until_day, read, hide=not checked.ok),
        method=described(experiment, view),
        input_sha256=digest,
        models=experiment.plan.models.model_dump() if experiment.plan.models else {},
    )


def _earlier(connection: Connection, experiment: Experiment, view: Window) -> list[Any]:
    key = {"experiment_key": experiment.experiment_key, "until_day": view.until_day}
    return list(connection.execute(query("experiment/earlier"), key))


def _digest(experiment: Experiment, view: Window, outside: int, rows: list[str], earlier: list[str]) -> str:
    read = {
        "method": [METHOD, version("tea-tasting")],
        "experiment": [
            experiment.name, experiment.hypothesis, experiment.salt, experiment.control_share,
            experiment.treatment_share, experiment.starts_at.isoformat(), experiment.ends_at.isoformat(),
            experiment.simulated, experiment.parameters, experiment.plan.model_dump(mode="json"),
        ],
        "until": view.until.isoformat(),
        "exposed_outside": outside,
        "rows": rows,
        "earlier": earlier,
    }  # fmt: skip
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


def _counted(counts: Counts) -> dict[str, int]:
    """Users by arm, without those left out."""
    return {arm: counts.exposed.get(arm, 0) - sum(of.get(arm, 0) for of in counts.left_out.values()) for arm in ARMS}


def _no_arms(experiment: Experiment, view: Window, engine: Engine) -> InputError:
    with engine.begin() as connection:
        advance(connection, experiment, view)
        counts = Reader(connection, experiment.experiment_key).counts
    if not counts.exposed:
        return InputError(
            f"Experiment {experiment.name!r} has no exposed user between {experiment.starts_at:%Y-%m-%d} and "
            f"{view.until:%Y-%m-%d}: serve it, and log exposures in both arms, before reading it."
        )
    arm, users = min(_counted(counts).items(), key=lambda one: one[1])
    out = sum(of.get(arm, 0) for of in counts.left_out.values())
    return InputError(
        f"Experiment {experiment.name!r} has {users} exposed users in the {arm} arm"
        f"{f', {out} more are left out as bots or as users of both arms' if out else ''}: a comparison needs at least "
        "2. Check that exposures are logged in both arms."
    )


def _planted(experiment: Experiment) -> dict[str, float] | None:
    if not experiment.simulated:
        return None
    count, time = experiment.parameters["lift_play_count"], experiment.parameters["lift_play_time"]
    return {"play_count": count, "play_time": time, "time_per_play": (1 + time) / (1 + count) - 1}
