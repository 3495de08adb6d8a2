"""What a readout reads is what a slow reading of days and exposures gives, however the days have come."""

import json
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import Engine, text

from liber_tasks.experiment.calibration import calibrate_experiment
from liber_tasks.experiment.metrics import materialise
from liber_tasks.experiment.moments import of_columns
from liber_tasks.experiment.readout import readout
from liber_tasks.experiment.simulate import simulate
from liber_tasks.experiment.stored import load
from liber_tasks.experiment.totals import CAPPED, Reader, by_arm
from tests.experiment.conftest import END, START, AddExperiment, behave, expose

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
COLUMNS = ("play_count", "play_seconds", "active_days", "pre_play_count", "pre_play_seconds", "pre_active_days")


def run(engine: Engine, statement: str, **parameters: object) -> list[tuple]:
    with engine.begin() as connection:
        found = connection.execute(text(statement), parameters)
        return [tuple(row) for row in found] if found.returns_rows else []


def totals(engine: Engine) -> list[tuple]:
    """Every column of every user but the moment it was written."""
    return run(engine, "SELECT * FROM liber.user_metric ORDER BY user_id")


def slow(engine: Engine, starts: date, until: date) -> list[tuple]:
    """The same totals by one plain statement over the stored days."""
    return run(
        engine,
        "SELECT e.user_id, sum(d.play_count) FILTER (WHERE NOT pre_period),"
        " sum(d.play_count) FILTER (WHERE pre_period), count(d.day) FILTER (WHERE NOT pre_period)"
        " FROM liber.exposure AS e LEFT JOIN liber.user_metric_day AS d ON d.user_id = e.user_id AND d.day < :until"
        " WHERE e.exposed_at < :until AND e.exposed_at >= :starts GROUP BY e.user_id ORDER BY e.user_id",
        until=until,
        starts=starts,
    )


def test_day_by_day_back_and_forth_or_at_once_gives_the_same_totals(engine: Engine) -> None:
    simulate(engine, name="one", users=3_000)
    starts = datetime.fromisoformat("2026-01-05T00:00Z")
    seen = {}
    for day in (1, 2, 3, 7, 4, 2, 7):
        materialise(engine, "one", starts + day * DAY)
        found = totals(engine)
        assert seen.setdefault(day, found) == found
        mine = [(row[1], row[6] or None, row[9] or None, row[8]) for row in found]
        assert mine == [tuple(row) for row in slow(engine, starts.date(), (starts + day * DAY).date())]
    run(engine, "TRUNCATE liber.user_metric, liber.user_metric_day, liber.metric_progress")
    materialise(engine, "one", starts + 7 * DAY)
    assert totals(engine) == seen[7]


def test_a_first_exposure_that_turns_out_earlier_counts_from_there(
    engine: Engine, add_experiment: AddExperiment
) -> None:
    key = add_experiment()
    expose(engine, key, [("a", "control", START + 5 * DAY), ("b", "treatment", START)])
    behave(engine, [("a", START + n * DAY + HOUR, 1.0) for n in range(7)] + [("b", START + HOUR, 1.0)])
    materialise(engine, "real", END)
    assert [row[6] for row in totals(engine)] == [2.0, 1.0]
    run(engine, "UPDATE liber.exposure SET exposed_at = :at WHERE user_id = 'a'", at=START + DAY)
    materialise(engine, "real", END)
    assert [row[6] for row in totals(engine)] == [6.0, 1.0]


@pytest.mark.parametrize("users", [4_000, 60_000])
def test_capped_moments_are_those_of_capped_users(engine: Engine, users: int) -> None:
    simulate(engine, name="one", users=users)
    materialise(engine, "one", datetime.fromisoformat("2026-02-01T00:00Z"))
    with engine.begin() as connection:
        read = Reader(connection, load(connection, "one").experiment_key).totals([])
    rows = np.array(run(engine, f"SELECT {', '.join(COLUMNS)} FROM liber.user_metric"), dtype=float)  # noqa: S608
    arm = np.array([row[0] for row in run(engine, "SELECT arm FROM liber.user_metric")])
    columns = {name: rows[:, place] for place, name in enumerate(COLUMNS)}
    above = int(0.001 * len(rows))
    for name in CAPPED:
        assert read.caps[name] == np.sort(columns[name])[::-1][above]
        assert (columns[name] > read.caps[name]).sum() <= above
    cut = {name: np.minimum(columns[name], read.caps[name]) for name in CAPPED}
    for found, wanted in ((by_arm(read.plain), columns), (by_arm(read.capped), cut)):
        for of, moments in found.items():
            mine = of_columns({name: values[arm == of] for name, values in wanted.items()}, moments.scatter)
            assert moments.n == mine.n
            assert moments.mean == pytest.approx(mine.mean, rel=1e-9)
            assert moments.scatter == pytest.approx(mine.scatter, rel=1e-7)


def test_programs_and_users_of_both_arms_are_left_out_and_counted(
    engine: Engine, add_experiment: AddExperiment
) -> None:
    key = add_experiment()
    expose(engine, key, [(f"{arm}{n}", arm, START) for arm in ("control", "treatment") for n in range(4)])
    behave(engine, [(f"{arm}{n}", START + HOUR, 10.0 + n) for arm in ("control", "treatment") for n in range(4)])
    behave(engine, [("control3", START + 2 * HOUR, 90_000.0), ("control3", END - HOUR, 1.0)])
    run(engine, "UPDATE liber.exposure SET crossed_at = :at WHERE user_id = 'treatment3'", at=START + 3 * DAY)
    early = readout(engine, "real", watermark=START + 2 * DAY)
    late = readout(engine, "real", watermark=END)
    assert early.users == {"control": 3, "treatment": 4}  # not known to have crossed on that day
    assert late.users == {"control": 3, "treatment": 3}
    assert (late.quality.crossed, late.quality.bots) == (1, {"control": 1})
    assert late.metrics["play_time"].raw.control == pytest.approx((10 + 11 + 12) / 3)
    assert late.sample_ratio.observed_treatment == 0.5  # of all who were exposed


OWN = (
    "SELECT u.user_id, (b.event_time AT TIME ZONE 'UTC')::date AS day, count(*) AS value FROM liber.behavior AS b"
    " JOIN liber.user_profile AS u USING (user_key) WHERE b.kind = 'click' GROUP BY 1, 2"
)
DEFINITION = {
    "segments": ["gender", "age", "activity"],
    "pre_days": 3,
    "metrics": [
        {"name": "play_count", "role": "primary", "decides": "raw"},
        {"name": "clicks", "role": "guardrail", "margin": 0.5, "unit": "clicks", "decides": "raw", "sql": OWN},
    ],
}


def test_own_metrics_and_segments_are_read_beside_the_built_in_ones(
    engine: Engine, add_experiment: AddExperiment
) -> None:
    key = add_experiment()
    run(engine, "UPDATE liber.experiment SET definition = cast(:d AS jsonb)", d=json.dumps(DEFINITION))
    users = [(f"{arm}{n}", arm, START) for arm in ("control", "treatment") for n in range(400)]
    expose(engine, key, users)
    run(
        engine,
        "INSERT INTO liber.user_profile (user_id, attributes) SELECT user_id, jsonb_build_object('gender',"
        " CASE WHEN right(user_id, 1) < '5' THEN 'F' ELSE 'M' END, 'age', 20) FROM liber.exposure",
    )
    run(
        engine,
        "INSERT INTO liber.behavior (user_key, seq, item_key, event_time, effective_time, play_seconds, kind, event_id)"
        " SELECT user_key, n, 1, t, t, 5, k, user_id || n FROM liber.user_profile CROSS JOIN LATERAL (SELECT n,"
        " cast(CASE WHEN n % 3 = 0 THEN 'click' ELSE 'play' END AS liber.behavior_kind) AS k, cast(:at AS timestamptz)"
        " + n * interval '5 hours' AS t FROM generate_series(-5, 5 + user_key % 7) AS n) AS x",
        at=START + 5 * DAY,
    )
    run(engine, "INSERT INTO liber.user_stream SELECT user_key, 9, 1, 0, :at FROM liber.user_profile", at=END)
    record = readout(engine, "real")
    clicks, plays = record.metrics["clicks"], record.metrics["play_count"]
    expected = run(
        engine,
        "SELECT left(user_id, 1), count(*) FILTER (WHERE kind = 'click') / 400.0 FROM liber.behavior JOIN"
        " liber.user_profile USING (user_key) WHERE event_time < :end AND event_time >= :start GROUP BY 1 ORDER BY 1",
        end=END, start=START,
    )  # fmt: skip
    assert [clicks.raw.control, clicks.raw.treatment] == pytest.approx([float(value) for _, value in expected])
    assert clicks.guardrail is not None
    assert clicks.guardrail.verdict == "non-inferior"
    found = {(one.dimension, one.value): one.control + one.treatment for one in plays.segments}
    assert found == {
        ("gender", "F"): 400, ("gender", "M"): 400, ("age", "18 to 24"): 800, ("activity", "no day"): 800,
    }  # fmt: skip
    tested = [one.p_adjusted for one in plays.segments]
    assert all(value is not None and 0 <= value <= 1 for value in tested)
    interactions = {one.dimension: one for one in plays.interactions}
    assert interactions["gender"].degrees == 1
    assert interactions["age"].reason is not None
    assert not clicks.segments  # of the primary metrics only
    assert record.method["own_sql"]["clicks"].startswith("SELECT")
    rates = {(one["metric"], one["method"]): one for one in calibrate_experiment(engine, "real", splits=1_000)["rates"]}
    assert {name for name, _ in rates} == {"play_count", "play_time", "time_per_play", "active_days", "clicks"}
    assert rates["clicks", "raw"]["rate"] == pytest.approx(0.05, abs=0.03)
    assert rates["clicks", "raw"]["false_positives"] != rates["play_count", "raw"]["false_positives"]
