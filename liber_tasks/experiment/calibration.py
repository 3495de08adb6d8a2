"""Do the methods of a readout keep their promised error rate on this experiment's own users? Stored beside it."""

import hashlib
import json
from dataclasses import asdict
from typing import Any

import numpy as np
from sqlalchemy import Engine

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.experiment.statistics import METRICS, custom, pre
from liber_tasks.experiment.stored import load
from liber_tasks.types import Progress, silent

USERS = 50_000  # at most: a split of them is as good a judge as one of all, and takes a bounded time
SPLITS = 5_000
SEED = 0
TOLERANCE = 0.009  # of a rate: three binomial errors at 5,000 splits
COLUMNS = ("play_count", "play_seconds", "active_days", "pre_play_count", "pre_play_seconds", "pre_active_days")


def verdict(rates: list[float]) -> str:
    """What false-positive rates say, in words."""
    if not rates:
        return "no metric could be tested"
    worst = max(rates, key=lambda rate: abs(rate - 0.05))
    kept = abs(worst - 0.05) <= TOLERANCE
    return f"{'every method errs as often as it should' if kept else 'a method errs too often or too seldom'} " + (
        f"(furthest from 5 %: {worst:.1%})"
    )


def calibrate_experiment(
    engine: Engine, name: str, *, splits: int = SPLITS, progress: Progress = silent
) -> dict[str, Any]:
    """A/A calibration of the experiment's newest readout: share of random splits that each method finds different.

    Args:
        engine: LIBER database.
        name: of an experiment that was read.
        splits: at least 1,000; 5,000 leave a binomial error of 0.3 percentage points.
        progress: told when the users are read and when it is done.

    Returns:
        `splits`, `users`, `seed`, `until_day` and `rates`: one of each metric and method, with its 95 % band.

    Raises:
        InputError: the experiment is unknown or was never read, or there are too few splits.
        ServiceUnavailable: the database cannot be reached.
    """
    from liber_tasks.experiment.calibrate import calibrate

    if splits < 1_000:
        raise InputError(f"--splits is {splits}: a rate of 5 % needs at least 1,000.")
    with database_errors(), engine.begin() as connection:
        experiment = load(connection, name)
        key = {"experiment_key": experiment.experiment_key}
        newest = connection.execute(query("experiment/newest_readout"), {**key, "until_day": None}).one_or_none()
        if newest is None:
            raise InputError(f"Experiment {name!r} was not read yet: run `liber readout {name}` first.")
        own = [custom(metric.name, metric.unit, place) for place, metric in enumerate(experiment.plan.own, 1)]
        made_of = [newest.input_sha256, splits, SEED, USERS, [one.name for one in own]]
        asked = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
        stored = {**key, "input_sha256": asked}
        before = connection.execute(query("experiment/stored_calibration"), stored).scalar_one_or_none()
        if before is not None:
            return dict(before)
        rows = connection.execute(query("experiment/calibration_columns"), {**key, "users": USERS}).all()
    progress(1, 2, "users read")
    names = [*COLUMNS, *(one.numerator for one in own), *(pre(one.numerator) for one in own)]
    values = np.array([[*row[: len(COLUMNS)], *row.custom, *row.pre_custom] for row in rows], dtype=float)
    columns = dict(zip(names, values.reshape(-1, len(names)).T, strict=True))
    share = experiment.treatment_share / (experiment.control_share + experiment.treatment_share)
    rates = calibrate(columns, share, definitions=[*METRICS, *own], splits=splits, seed=SEED)
    result = {
        "splits": splits,
        "users": len(values),
        "seed": SEED,
        "until_day": newest.until_day.isoformat(),
        "rates": [asdict(rate) for rate in rates],
        "verdict": verdict([rate.rate for rate in rates if rate.rate is not None]),
    }
    row = {**stored, "until_day": newest.until_day, "result": json.dumps(result, allow_nan=False)}
    with database_errors(), engine.begin() as connection:
        connection.execute(query("experiment/store_calibration"), row)
    progress(2, 2, f"{splits:,} splits")
    return result
