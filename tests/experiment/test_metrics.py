"""Metrics per user and day: whole days, once, from the first exposure on."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from liber_tasks.errors import InputError
from liber_tasks.experiment.metrics import materialise
from liber_tasks.experiment.simulate import simulate
from tests.experiment.conftest import END, START, AddExperiment, behave, expose

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def stored(engine: Engine) -> list[tuple]:
    with engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT user_id, day, pre_period, play_count, play_seconds FROM liber.user_metric_day "
                "ORDER BY user_id, day"
            )
        )
        return [tuple(row) for row in found]


def test_a_real_experiment_counts_plays_from_the_first_exposure_on(
    engine: Engine, add_experiment: AddExperiment
) -> None:
    key = add_experiment()
    expose(engine, key, [("a", "control", START + DAY + 2 * HOUR), ("b", "treatment", START)])
    behave(
        engine,
        [
            ("a", START - 8 * DAY, 1.0),  # before the pre-period
            ("a", START - 2 * DAY, 10.0),
            ("a", START - 2 * DAY + HOUR, None),  # a play of unknown length still is a play
            ("a", START + HOUR, 100.0),  # in the experiment, before exposure: neither period
            ("a", START + DAY + HOUR, 100.0),
            ("a", START + DAY + 3 * HOUR, 20.0),
            ("a", END, 100.0),  # after the experiment
            ("c", START + HOUR, 100.0),  # never exposed
        ],
    )
    behave(engine, [("b", START + HOUR, 5.0)], kind="click")
    assert materialise(engine, "real", END) == 2
    assert stored(engine) == [("a", date(2026, 2, 28), True, 2, 10.0), ("a", date(2026, 3, 3), False, 1, 20.0)]


def test_only_days_the_watermark_has_closed_are_stored(engine: Engine, add_experiment: AddExperiment) -> None:
    key = add_experiment()
    expose(engine, key, [("a", "control", START)])
    behave(engine, [("a", START + HOUR, 1.0), ("a", START + DAY + HOUR, 2.0)])
    with pytest.raises(InputError, match="closes none"):
        materialise(engine, "real", START + 23 * HOUR)
    assert materialise(engine, "real", START + DAY + 5 * HOUR) == 1
    assert materialise(engine, "real", START + 2 * DAY) == 1
    assert [row[1] for row in stored(engine)] == [date(2026, 3, 2), date(2026, 3, 3)]


def test_daily_runs_store_what_one_run_stores(engine: Engine) -> None:
    simulate(engine, name="one", users=3_000)
    assert materialise(engine, "one", datetime(2026, 2, 1, tzinfo=UTC)) > 0
    once = stored(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM liber.user_metric_day"))
    added = [materialise(engine, "one", datetime(2026, 1, 5, tzinfo=UTC) + day * DAY) for day in range(1, 9)]
    assert sum(added) == len(once)
    assert added[-1] == 0
    assert stored(engine) == once


def test_a_re_run_changes_nothing(engine: Engine, add_experiment: AddExperiment) -> None:
    key = add_experiment()
    expose(engine, key, [("a", "control", START)])
    behave(engine, [("a", START + n * HOUR, 0.1) for n in range(1, 9)])
    assert materialise(engine, "real", END) == 1
    assert materialise(engine, "real", END) == 0


def test_late_plays_correct_an_open_day_and_leave_a_final_one(engine: Engine, add_experiment: AddExperiment) -> None:
    key = add_experiment()
    expose(engine, key, [("a", "control", START)])
    behave(engine, [("a", START + n * DAY, 1.0) for n in range(4)])
    materialise(engine, "real", START + 4 * DAY)
    behave(engine, [("a", START + HOUR, 1.0), ("a", START + 2 * DAY + HOUR, 1.0)])
    assert materialise(engine, "real", START + 4 * DAY) == 1
    assert [row[3] for row in stored(engine)] == [1, 1, 2, 1]


def test_a_user_exposed_later_gets_the_pre_period_too(engine: Engine, add_experiment: AddExperiment) -> None:
    key = add_experiment()
    expose(engine, key, [("a", "control", START)])
    behave(
        engine, [("a", START + n * DAY, 1.0) for n in range(5)] + [("b", START - DAY, 7.0), ("b", START + 5 * DAY, 8.0)]
    )
    materialise(engine, "real", START + 5 * DAY)
    expose(engine, key, [("b", "treatment", START + 5 * DAY)])
    assert materialise(engine, "real", START + 6 * DAY) == 2
    assert [row[1:] for row in stored(engine) if row[0] == "b"] == [
        (date(2026, 3, 1), True, 1, 7.0),
        (date(2026, 3, 7), False, 1, 8.0),
    ]


def test_an_unknown_experiment_is_named_with_those_there_are(engine: Engine, add_experiment: AddExperiment) -> None:
    add_experiment("known")
    with pytest.raises(InputError, match=r"'other' is unknown: there are 'known'"):
        materialise(engine, "other", END)


def test_a_watermark_without_zone_is_refused(engine: Engine, add_experiment: AddExperiment) -> None:
    add_experiment()
    with pytest.raises(InputError, match="time zone"):
        materialise(engine, "real", datetime(2026, 3, 9))
