"""Flaws that a simulated experiment can be given, and what the readout makes of them."""

import hashlib

import numpy as np
import pytest
from sqlalchemy import Engine

from liber_tasks.errors import InputError
from liber_tasks.experiment.flaws import BOT_PLAYS, Flaws
from liber_tasks.experiment.readout import readout
from liber_tasks.experiment.simulate import WEEKDAY, activity, simulate

NAME = "liber-memory-simulated"


def test_without_flaws_the_data_are_those_of_generator_1() -> None:
    plays = activity(np.arange(20_000) % 2 == 1, np.random.default_rng(0), 0.0301, 0.0769)
    digest = hashlib.sha256(b"".join(getattr(plays, name).tobytes() for name in ("user", "day", "play_count")))
    assert digest.hexdigest()[:16] == "fe7ddf65ff489e1f"
    treated = np.arange(10) % 2 == 1
    served, logged = Flaws().arms(treated, 1)
    assert (served == treated).all()
    assert logged.all()
    assert Flaws().with_bots(plays, 20_000, 1) is plays
    assert Flaws().lift(0.1, WEEKDAY) == 0.1
    assert Flaws().planted() == {}


def test_lost_exposures_are_a_sample_ratio_mismatch(engine: Engine) -> None:
    report = simulate(engine, flaws=Flaws(lost=0.2))
    result = readout(engine, NAME)
    assert result.users == {"control": report.exposed_control, "treatment": report.exposed_treatment}
    assert not result.sample_ratio.ok
    assert all(metric.raw.lift is None for metric in result.metrics.values())


def test_swapped_arms_are_counted(engine: Engine) -> None:
    report = simulate(engine, users=20_000, flaws=Flaws(swapped=0.1))
    users = report.exposed_control + report.exposed_treatment
    assert readout(engine, NAME).quality.wrong_arm == pytest.approx(0.1 * users, abs=4 * (0.09 * users) ** 0.5)


def test_flaws_are_parameters_of_the_experiment(engine: Engine) -> None:
    simulate(engine, users=2_000, flaws=Flaws(bots=0.01))
    assert not simulate(engine, users=2_000, flaws=Flaws(bots=0.01)).created
    with pytest.raises(InputError, match=r'"bots": 0\.01'):
        simulate(engine, users=2_000)


def test_a_lift_that_fades_keeps_its_mean() -> None:
    lifts = Flaws(fade=0.7).lift(0.2, WEEKDAY)
    assert np.average(lifts, weights=WEEKDAY) == pytest.approx(0.2)
    assert lifts[1:] / lifts[:-1] == pytest.approx(0.7)
    treated = np.arange(200_000) % 2 == 1
    plays = activity(treated, np.random.default_rng(1), lifts, lifts)
    for day in (0, 6):
        counts = plays.play_count * (plays.day == day)
        found = counts[treated[plays.user]].sum() / counts[~treated[plays.user]].sum() - 1
        assert found == pytest.approx(lifts[day], abs=0.02)


def test_bots_play_every_day_in_order() -> None:
    plays = activity(np.zeros(2_000, bool), np.random.default_rng(2), 0.0, 0.0)
    found = Flaws(bots=0.01).with_bots(plays, 2_000, 3)
    assert (np.lexsort((found.day, found.user)) == np.arange(len(found.user))).all()
    users, days = np.unique(found.user[found.play_count > BOT_PLAYS / 2], return_counts=True)
    assert len(users) == pytest.approx(20, abs=18)
    assert (days == 14).all()
    others = ~np.isin(plays.user, users)
    assert (found.play_count[~np.isin(found.user, users)] == plays.play_count[others]).all()


@pytest.mark.parametrize("wrong", [{"bots": -0.1}, {"lost": 1.0}, {"swapped": float("nan")}, {"fade": 0.0}])
def test_a_flaw_out_of_range_is_named(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Flaws(**wrong)
