"""A simulated A/B test with planted lifts, so that the readout can be judged against a known truth.

The paper's own test (section 4.4.2, Table 5) ran on a production service whose data are not published. This one has
its shape (one week, 10 % control, 10 % treatment) and its lifts, on synthetic users, marked `simulated` everywhere.
It shows that the readout finds a lift that is there; it says nothing about what LIBER itself achieves.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.experiment.assign import bucket, cuts
from liber_tasks.experiment.copying import copy
from liber_tasks.experiment.flaws import NONE, Flaws
from liber_tasks.types import Progress, silent

DAYS = 7  # of the experiment, and of the pre-period before it
SHARE = 0.1  # of all users, per arm
GENERATOR = 1  # goes up whenever the same parameters would give other data
HYPOTHESIS = "Interests learnt from a user's long-term memory raise play count and play time."
WEEKDAY = np.array([0.95, 0.95, 0.95, 0.95, 1.0, 1.1, 1.1])  # means 1 over a week: lifts stay as planted
Lift = float | np.ndarray
COPY_ROWS = 200_000  # bounds memory: one COPY holds at most this many encoded rows


@dataclass(frozen=True)
class SimulateReport:
    """What `simulate` left in the database."""

    created: bool  # False: the same simulation was there before
    users: int  # population; about 10 % land in each arm
    exposed_control: int
    exposed_treatment: int
    rows: int  # of simulated_play: one a user and day with at least one play

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Activity:
    """Plays per user and day, days with no play left out. Four arrays of one length, ordered by user, then day."""

    user: np.ndarray  # int64, index into the exposed users
    day: np.ndarray  # int64, days from the start of the experiment; negative: pre-period
    play_count: np.ndarray  # int32, >= 1
    play_seconds: np.ndarray  # float64


def simulate(
    engine: Engine,
    *,
    name: str = "liber-memory-simulated",
    users: int = 100_000,
    seed: int = 7,
    lift_play_count: float = 0.0301,
    lift_play_time: float = 0.0769,
    starts_at: date | datetime = date(2026, 1, 5),
    flaws: Flaws = NONE,
    progress: Progress = silent,
) -> SimulateReport:
    """Store a one-week 10 % / 10 % experiment with planted lifts (paper, Table 5) and a 7-day pre-period.

    Everything is stored in one transaction, and the same parameters give the same data: a second call is a no-op.
    100,000 users leave about 10,000 an arm. The 95 % interval of a lift is then about +-3.5 percentage points raw and
    +-2 with CUPED, so that raw play count cannot show a lift of 3 % and CUPED can.

    Args:
        engine: LIBER database.
        name: of the experiment; also its salt.
        users: population, ids `sim-0000001` ..., of which the arms are drawn by bucket.
        seed: of the activity.
        lift_play_count, lift_play_time: relative lift of the expected plays and of the expected total play time of a
            treated user, > -1; 0 for an A/A test.
        starts_at: a date, or a datetime at midnight UTC.
        flaws: what else is planted: bots, lost exposures, swapped arms, a lift that fades.

    Raises:
        InputError: a parameter is out of range, or the name is taken by another experiment.
        ServiceUnavailable: the database cannot be reached.
    """
    start = _midnight(starts_at)
    if users < 1:
        raise InputError(f"users is {users}: must be at least 1.")
    for label, lift in (("lift_play_count", lift_play_count), ("lift_play_time", lift_play_time)):
        if not -1 < lift < 100:
            raise InputError(f"{label} is {lift}: a relative lift lies above -1 and below 100 (0.03 is 3 %).")
    parameters = {
        "generator": GENERATOR,
        "users": users,
        "seed": seed,
        "lift_play_count": lift_play_count,
        "lift_play_time": lift_play_time,
        **flaws.planted(),
    }
    row = {
        "name": name, "hypothesis": HYPOTHESIS, "salt": name, "control_share": SHARE, "treatment_share": SHARE,
        "starts_at": start, "ends_at": start + timedelta(days=DAYS), "parameters": json.dumps(parameters),
    }  # fmt: skip
    with database_errors(), engine.begin() as connection:
        key = connection.execute(query("experiment/create_simulated"), row).scalar_one_or_none()
        if key is None:
            return _existing(connection, name, start, parameters)
        ids, treated = exposed(name, users)
        treated, logged = flaws.arms(treated, seed)
        lifts = [flaws.lift(lift, WEEKDAY) for lift in (lift_play_count, lift_play_time)]
        plays = flaws.with_bots(activity(treated, np.random.default_rng(seed), *lifts), len(ids), seed)
        seconds = np.random.default_rng([seed, 1]).integers(0, 86_400, len(ids))  # first serving: within day one
        exposures = _exposures(key, ids, treated, start, seconds).filter(logged)
        copy(connection, "experiment/copy_exposure", exposures)
        total = len(plays.user)
        for done, chunk in _plays(key, ids, plays, start.date()):
            copy(connection, "experiment/copy_simulated_play", chunk)
            progress(done, total, "simulated user-days")
        connection.execute(query("experiment/analyze_simulated"))
    return SimulateReport(True, users, int((~treated & logged).sum()), int((treated & logged).sum()), total)


def exposed(salt: str, users: int) -> tuple[list[str], np.ndarray]:
    """Ids of the synthetic users whose bucket lies in an arm, and whether each is treated (bool, one an id)."""
    control, treatment = cuts(SHARE, SHARE)
    ids = [f"sim-{n:07d}" for n in range(1, users + 1)]
    places = np.fromiter((bucket(salt, user) for user in ids), np.int64, users)
    inside = np.flatnonzero(places < treatment)
    return [ids[n] for n in inside], places[inside] >= control


def activity(treated: np.ndarray, rng: np.random.Generator, lift_count: Lift, lift_time: Lift) -> Activity:
    """Draw plays of 14 days. Lifts act on expectations, in the last 7 days, on treated users only.

    A user's rate is log-normal (about 30 plays a week on average, a heavy tail) and drifts between the two weeks,
    so that both weeks correlate (about 0.85) but do not repeat; plays of a day are Poisson; a play's length is gamma
    around a mean of the user's own.

    Args:
        treated: bool, one an exposed user.
        rng: its state decides everything.
        lift_count: relative lift of plays; a number, or one a user (n, 1), a day (7) or both (n, 7).
        lift_time: relative lift of total play time, including what more plays bring; likewise.
    """
    n = len(treated)
    weeks = np.repeat([0, 1], DAYS)
    rate = np.exp(rng.normal(0, 0.9, (n, 1)) + rng.normal(0, 0.3, (n, 2)) - (0.9**2 + 0.3**2) / 2) * 30 / DAYS
    length = np.exp(rng.normal(0, 0.3, (n, 1)) + rng.normal(0, 0.1, (n, 2))) * 170  # seconds a play
    rate, length = rate[:, weeks], length[:, weeks]
    rate[:, DAYS:] *= np.where(treated[:, None], 1 + lift_count, 1)
    length[:, DAYS:] *= np.where(treated[:, None], (1 + lift_time) / (1 + lift_count), 1)
    counts = rng.poisson(rate * np.tile(WEEKDAY, 2))
    user, column = np.nonzero(counts)
    played = counts[user, column]
    seconds = rng.gamma(2.0 * played, length[user, column] / 2.0)
    return Activity(user, column - DAYS, played.astype(np.int32), seconds)


def _midnight(starts_at: date | datetime) -> datetime:
    if not isinstance(starts_at, datetime):
        return datetime.combine(starts_at, time(), UTC)
    start = starts_at.replace(tzinfo=UTC) if starts_at.tzinfo is None else starts_at.astimezone(UTC)
    if start.timetz() != time(tzinfo=UTC):
        raise InputError(f"starts_at is {start.isoformat()}: a simulated experiment starts at midnight UTC.")
    return start


def _existing(connection: Connection, name: str, start: datetime, parameters: dict[str, Any]) -> SimulateReport:
    there = connection.execute(query("experiment/experiment"), {"name": name}).mappings().one()
    if not there["simulated"] or there["starts_at"] != start or there["parameters"] != parameters:
        raise InputError(
            f"Experiment {name!r} is there already with other parameters ({json.dumps(there['parameters'])}, start "
            f"{there['starts_at']:%Y-%m-%d}, simulated {there['simulated']}): choose another name."
        )
    counts = connection.execute(query("experiment/simulated_counts"), {"experiment_key": there["experiment_key"]}).one()
    return SimulateReport(False, parameters["users"], counts.control, counts.treatment, counts.plays)


def _exposures(key: int, ids: list[str], treated: np.ndarray, start: datetime, seconds: np.ndarray) -> Any:
    import pyarrow as pa

    arms = pa.DictionaryArray.from_arrays(treated.astype(np.int8), ["control", "treatment"]).dictionary_decode()
    stamps = (int(start.timestamp()) + seconds) * 1_000_000
    return pa.RecordBatch.from_pydict(
        {
            "experiment_key": pa.array(np.full(len(ids), key, np.int32)),
            "user_id": pa.array(ids, pa.string()),
            "arm": arms,
            "exposed_at": pa.array(stamps, pa.timestamp("us", "UTC")),
        }
    )


def _plays(key: int, ids: list[str], plays: Activity, first_day: date) -> Iterator[tuple[int, Any]]:
    import pyarrow as pa

    names = pa.array(ids, pa.string())
    epoch_day = first_day.toordinal() - date(1970, 1, 1).toordinal()
    for begin in range(0, len(plays.user), COPY_ROWS):
        part = slice(begin, begin + COPY_ROWS)
        users = pa.array(plays.user[part])
        yield (
            begin + len(users),
            pa.RecordBatch.from_pydict(
                {
                    "experiment_key": pa.array(np.full(len(users), key, np.int32)),
                    "user_id": names.take(users),
                    "day": pa.array((plays.day[part] + epoch_day).astype(np.int32)).cast(pa.date32()),
                    "play_count": pa.array(plays.play_count[part]),
                    "play_seconds": pa.array(plays.play_seconds[part]),
                }
            ),
        )
