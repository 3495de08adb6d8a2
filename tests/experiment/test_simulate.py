"""The simulated experiment: known truth, stored once."""

from datetime import UTC, date, datetime

import numpy as np
import pytest
from sqlalchemy import Engine, text

from liber_tasks.errors import InputError
from liber_tasks.experiment.simulate import activity, exposed, simulate

SMALL = {"users": 3_000}


def rows(engine: Engine) -> list[tuple]:
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT user_id, day, play_count, play_seconds FROM liber.simulated_play ORDER BY user_id, day")
        )
        return [tuple(row) for row in found]


def test_the_same_parameters_give_the_same_data(engine: Engine) -> None:
    first = simulate(engine, **SMALL)
    before = rows(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM liber.simulated_play"))
        connection.execute(text("DELETE FROM liber.experiment"))
    assert simulate(engine, **SMALL) == first
    assert rows(engine) == before
    assert len(before) == first.rows > 0


def test_a_second_call_is_a_no_op(engine: Engine) -> None:
    first = simulate(engine, **SMALL)
    before = rows(engine)
    second = simulate(engine, **SMALL)
    assert (first.created, second.created) == (True, False)
    assert second.to_dict() == {**first.to_dict(), "created": False}
    assert rows(engine) == before


@pytest.mark.parametrize(
    "other", [{"users": 3_001}, {"seed": 8}, {"lift_play_count": 0.0}, {"starts_at": date(2026, 1, 6)}]
)
def test_a_name_with_other_parameters_is_refused(engine: Engine, other: dict) -> None:
    simulate(engine, **SMALL)
    with pytest.raises(InputError, match="choose another name"):
        simulate(engine, **{**SMALL, **other})


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"users": 0}, "users"),
        ({"lift_play_count": -1.0}, "lift_play_count"),
        ({"lift_play_time": float("nan")}, "lift_play_time"),
        ({"starts_at": datetime(2026, 1, 5, 8, tzinfo=UTC)}, "midnight"),
    ],
)
def test_a_parameter_out_of_range_is_named_and_nothing_is_stored(engine: Engine, bad: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        simulate(engine, **bad)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM liber.experiment")).scalar_one() == 0


def test_simulated_plays_are_marked_and_never_reach_behaviour(engine: Engine) -> None:
    simulate(engine, **SMALL)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT simulated FROM liber.experiment")).scalars().all() == [True]
        assert connection.execute(text("SELECT count(*) FROM liber.behavior")).scalar_one() == 0


def test_users_are_exposed_by_bucket_ten_percent_an_arm() -> None:
    ids, treated = exposed("liber-memory-simulated", 100_000)
    assert len(ids) == len(set(ids)) == len(treated)
    for size in (treated.sum(), (~treated).sum()):
        assert size == pytest.approx(10_000, abs=4 * (100_000 * 0.1 * 0.9) ** 0.5)


def test_lifts_are_planted_in_expectation_and_only_in_the_experiment() -> None:
    treated = np.arange(400_000) % 2 == 1
    plays = activity(treated, np.random.default_rng(3), 0.10, 0.30)

    def lift(values: np.ndarray, week: np.ndarray) -> float:
        arm = treated[plays.user]
        return float(values[week & arm].sum() / values[week & ~arm].sum() - 1)

    during = plays.day >= 0
    assert lift(plays.play_count, during) == pytest.approx(0.10, abs=0.02)
    assert lift(plays.play_seconds, during) == pytest.approx(0.30, abs=0.02)
    assert lift(plays.play_count, ~during) == pytest.approx(0, abs=0.02)
    assert lift(plays.play_seconds, ~during) == pytest.approx(0, abs=0.02)


def test_activity_is_heavy_tailed_and_both_weeks_correlate() -> None:
    treated = np.zeros(50_000, bool)
    plays = activity(treated, np.random.default_rng(4), 0, 0)
    before, during = (
        np.bincount(plays.user[week], plays.play_count[week], len(treated)) for week in (plays.day < 0, plays.day >= 0)
    )
    assert during.max() > 10 * during.mean()
    assert 0.7 < np.corrcoef(before, during)[0, 1] < 0.95
    assert (during == 0).any()
