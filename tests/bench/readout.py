"""A readout of many users: database time of all that one day's readout reads, over the plain GROUP BY of the same rows.

The rows are one a user (liber.user_metric), as materialising leaves them; the plain GROUP BY gives count, mean and
variance of the same three per-user metrics by arm, which is what an analyst would write. The readout adds CUPED,
capping at the 99.9th percentile, segments, distributions, novelty and the digest that tells whether anything changed.
Each is timed in turns, wall time of the statements, fastest of `ROUNDS`; the first readout and a repeated one, which
finds the stored record, are shown too.
"""

import os
import time
from typing import Any

from sqlalchemy import Connection, Engine, event, text

from liber_tasks.experiment.readout import readout
from tests.bench.database import cluster, database, run, say, settle

ROUNDS = 5
PLAIN = (
    "SELECT arm, count(*), avg(play_count), var_samp(play_count), avg(play_seconds), var_samp(play_seconds),"
    " avg(active_days), var_samp(active_days) FROM liber.user_metric WHERE experiment_key = 1 GROUP BY arm"
)

FILL = (
    "INSERT INTO liber.experiment (name, hypothesis, salt, control_share, treatment_share, starts_at, ends_at,"
    " simulated, parameters, definition) VALUES ('bench', 'h', 'bench', 0.5, 0.5, '2026-01-05Z', '2026-01-12Z', true,"
    " jsonb_build_object('lift_play_count', 0, 'lift_play_time', 0),"
    " jsonb_build_object('looks', 'none', 'segments', jsonb_build_array('activity')))",
    "INSERT INTO liber.exposure SELECT 1, 'user-' || n, liber.assigned_arm('bench', 'user-' || n), '2026-01-05Z'"
    " FROM generate_series(1, :users) AS n",
    "INSERT INTO liber.simulated_play SELECT 1, 'user-' || n, d,"
    " cast(1 + floor(exp(r + random_normal(0, 0.3))) AS integer), 170 * exp(r + random_normal(0, 0.5))"
    " FROM (SELECT n, random_normal(1, 0.9) AS r FROM"
    " generate_series(1, :users) AS n) AS u CROSS JOIN (VALUES (date '2026-01-03'), (date '2026-01-11')) AS of (d)",
    "ANALYZE liber.exposure, liber.simulated_play",
)


def measure(size: int = 1_000) -> tuple[dict[str, Any], dict[str, Any]]:
    """`size` thousand users."""
    users = size * 1_000
    with cluster() as server:
        engine = database(server)
        _fill(engine, users)
        settle(engine)
        ratios, figures = {}, {"users": users, "load_1m": round(os.getloadavg()[0], 2)}
        spent = _Spent(engine)
        first = _seconds(lambda: readout(engine, "bench"))
        figures["first_readout_s"] = round(first, 2)
        figures["first_readout_reading_s"] = round(spent.reading(), 2)
        figures["repeated_readout_s"] = round(_seconds(lambda: readout(engine, "bench")), 2)
        plain, reading = [], []
        for _ in range(ROUNDS):
            with engine.begin() as connection:
                plain.append(_seconds(lambda c=connection: c.exec_driver_sql(PLAIN).all()))
            with engine.begin() as connection:
                run(connection, "DELETE FROM liber.readout")
            spent.clear()
            readout(engine, "bench")
            reading.append(spent.reading())
            say(f"readout: plain {plain[-1]:.3f} s, readout {reading[-1]:.3f} s")
        figures |= {"plain_group_by_s": round(min(plain), 3), "readout_database_s": round(min(reading), 3)}
        ratios["readout_over_plain_group_by"] = round(min(reading) / min(plain), 2)
    return ratios, figures


def _fill(engine: Engine, users: int) -> None:
    """Users with skewed plays on the last day of a one-week experiment whose earlier looks nobody planned."""
    with engine.begin() as connection:
        for statement in FILL:
            connection.execute(text(statement), {"users": users})


class _Spent:
    """Wall time of the statements that read, by name."""

    def __init__(self, engine: Engine) -> None:
        self._by_name: dict[str, float] = {}
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)

    def reading(self) -> float:
        """Seconds of the statements that a readout reads its rows with."""
        return sum(self._by_name.values())

    def clear(self) -> None:
        self._by_name.clear()

    def _before(self, connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        connection.info["started"] = time.perf_counter()

    def _after(self, connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        spent = time.perf_counter() - connection.info["started"]
        if statement.startswith("-- Readout:"):
            label = statement.splitlines()[0]
            self._by_name[label] = self._by_name.get(label, 0.0) + spent
            say(f"  {spent:.3f} s {label[12:70]}")


def _seconds(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
