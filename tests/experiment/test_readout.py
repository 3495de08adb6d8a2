"""The readout: right numbers, hidden where they would mislead, stored once."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy import stats
from sqlalchemy import Engine, text

from liber_tasks.errors import InputError
from liber_tasks.experiment.readout import readout
from liber_tasks.experiment.record import from_dict
from liber_tasks.experiment.simulate import simulate
from tests.experiment.conftest import END, START, AddExperiment, behave, expose

NAME = "liber-memory-simulated"


def per_user(engine: Engine) -> dict[str, np.ndarray]:
    """Columns play count, play seconds and the same of the pre-period, one row an exposed user, by arm."""
    with engine.connect() as connection:
        exposures = connection.execute(text("SELECT user_id, arm FROM liber.exposure")).all()
        plays = connection.execute(
            text("SELECT user_id, day, play_count, play_seconds FROM liber.simulated_play")
        ).all()
    totals = {user: np.zeros(4) for user, _ in exposures}
    for user, day, count, seconds in plays:
        at = 2 if day < datetime(2026, 1, 5).date() else 0
        totals[user][at : at + 2] += count, seconds
    return {arm: np.array([totals[u] for u, a in exposures if a == arm]) for arm in ("control", "treatment")}


def linearised(rows: np.ndarray, numerator: int, denominator: int | None, centre: np.ndarray) -> np.ndarray:
    """Per-user values whose mean is the metric and whose variance is the delta method's, around the means `centre`."""
    if denominator is None:
        return rows[:, numerator]
    top, bottom = centre[numerator], centre[denominator]
    return top / bottom + (rows[:, numerator] - top / bottom * rows[:, denominator]) / bottom


def independent(arms: dict[str, np.ndarray], numerator: int, denominator: int | None, adjusted: bool) -> dict:
    """Welch, delta method and CUPED written from their formulas."""
    total = np.concatenate(list(arms.values()))
    theta = 0.0
    if adjusted:
        x = linearised(total, numerator + 2, None if denominator is None else denominator + 2, total.mean(0))
        y = linearised(total, numerator, denominator, total.mean(0))
        theta = np.cov(x, y)[0, 1] / np.var(x, ddof=1)
    mean, se2, df_parts = {}, {}, {}
    for arm, rows in arms.items():
        y = linearised(rows, numerator, denominator, rows.mean(0))
        level = y.mean()
        if adjusted:
            x = linearised(rows, numerator + 2, None if denominator is None else denominator + 2, rows.mean(0))
            whole = total.mean(0)
            centre = whole[numerator + 2] / (1 if denominator is None else whole[denominator + 2])
            level -= theta * (x.mean() - centre)
            y = y - theta * x
        mean[arm], se2[arm], df_parts[arm] = level, y.var(ddof=1) / len(y), len(y) - 1

    def degrees(a: float, b: float) -> float:
        return (a + b) ** 2 / (a**2 / df_parts["control"] + b**2 / df_parts["treatment"])

    difference = mean["treatment"] - mean["control"]
    p = 2 * stats.t.sf(abs(difference) / sum(se2.values()) ** 0.5, degrees(se2["control"], se2["treatment"]))
    log = {arm: se2[arm] / mean[arm] ** 2 for arm in arms}
    half = stats.t.ppf(0.975, degrees(log["control"], log["treatment"])) * sum(log.values()) ** 0.5
    ratio = mean["treatment"] / mean["control"]
    return {
        "control": mean["control"], "treatment": mean["treatment"], "lift": ratio - 1,
        "lift_low": ratio * np.exp(-half) - 1, "lift_high": ratio * np.exp(half) - 1, "p_value": p,
    }  # fmt: skip


def test_the_default_simulation_gives_the_planted_lifts_back(engine: Engine) -> None:
    simulate(engine)
    result = readout(engine, NAME)
    assert result.simulated
    assert result.complete
    assert result.sample_ratio.ok
    assert result.planted is not None
    assert (result.planted["play_count"], result.planted["play_time"]) == (0.0301, 0.0769)
    for name, planted in result.planted.items():
        metric = result.metrics[name]
        for estimate in (metric.raw, metric.cuped):
            assert estimate.lift_low < planted < estimate.lift_high
        width = metric.raw.lift_high - metric.raw.lift_low
        assert metric.cuped.lift_high - metric.cuped.lift_low < 0.8 * width
    for name in ("play_count", "play_time"):
        assert result.metrics[name].best.p_value < 0.05
        assert result.metrics[name].best.mde is None

    arms = per_user(engine)  # every number again, from the plays themselves
    for name, columns in {"play_count": (0, None), "play_time": (1, None), "time_per_play": (1, 0)}.items():
        for adjusted in (False, True):
            found = getattr(result.metrics[name], "cuped" if adjusted else "raw")
            for field, value in independent(arms, *columns, adjusted).items():
                assert getattr(found, field) == pytest.approx(value, rel=1e-6), (name, adjusted, field)
    users = [result.users["control"], result.users["treatment"]]
    assert users == [len(arms["control"]), len(arms["treatment"])]
    assert result.sample_ratio.p_value == pytest.approx(stats.chisquare(users).pvalue, rel=1e-9)


def test_an_a_a_test_shows_no_lift_and_says_what_it_could_have_found(engine: Engine) -> None:
    simulate(engine, name="a-a", users=30_000, lift_play_count=0.0, lift_play_time=0.0)
    found = [e for metric in readout(engine, "a-a").metrics.values() for e in (metric.raw, metric.cuped)]
    assert len(found) == 8
    assert min(estimate.p_value for estimate in found) > 0.05 / 8  # eight chances to be fooled
    for estimate in found:
        assert (estimate.lift_low < 0 < estimate.lift_high) == (estimate.p_value > 0.05)
        if estimate.p_value > 0.05:
            # With 80 % power the smallest effect found is 2.8 standard errors; the interval is 3.92 wide.
            assert estimate.mde == pytest.approx((estimate.lift_high - estimate.lift_low) * 2.8 / 3.92, rel=0.1)
        else:
            assert estimate.mde is None


def test_a_sample_ratio_mismatch_hides_the_lifts(engine: Engine) -> None:
    simulate(engine, users=20_000)
    with engine.begin() as connection:  # a bug that loses treated users
        connection.execute(
            text(
                "DELETE FROM liber.exposure WHERE user_id IN (SELECT user_id FROM liber.exposure "
                "WHERE arm = 'treatment' ORDER BY user_id LIMIT 300)"
            )
        )
    result = readout(engine, NAME)
    assert not result.sample_ratio.ok
    assert result.sample_ratio.p_value < 0.001
    for metric in result.metrics.values():
        for estimate in (metric.raw, metric.cuped):
            assert (estimate.lift, estimate.lift_low, estimate.lift_high, estimate.p_value) == (None,) * 4
            assert "Hidden" in estimate.reason


def test_a_silent_pre_period_leaves_raw_numbers_and_says_why(engine: Engine) -> None:
    simulate(engine, users=20_000)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM liber.simulated_play WHERE day < '2026-01-05'"))
    for metric in readout(engine, NAME).metrics.values():
        assert metric.raw.lift is not None
        assert metric.cuped.lift is None
        assert "pre-period" in metric.cuped.reason
        assert metric.best is metric.raw


def test_users_without_a_play_count_as_zero(engine: Engine, add_experiment: AddExperiment) -> None:
    key = add_experiment()
    arms = ["control", "treatment"]
    expose(engine, key, [(f"{arm}{n}", arm, START) for arm in arms for n in range(4)])
    behave(engine, [("control0", START + timedelta(hours=1), 60.0), ("treatment0", START + timedelta(hours=1), 90.0)])
    behave(engine, [("control0", END, None)])  # moves the stream past the experiment's end
    result = readout(engine, "real")
    assert result.complete
    assert result.metrics["play_count"].raw.control == pytest.approx(1 / 4)
    assert result.metrics["play_time"].raw.treatment == pytest.approx(90 / 4)
    assert result.metrics["time_per_play"].raw.lift is None  # one user with plays an arm: every play is as long
    assert result.planted is None


def test_users_in_the_wrong_arm_and_outside_exposures_are_counted(engine: Engine) -> None:
    simulate(engine, users=20_000)
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE liber.exposure SET arm = CASE arm WHEN 'control' THEN 'treatment' ELSE 'control' END "
                "WHERE user_id IN (SELECT user_id FROM liber.exposure ORDER BY user_id LIMIT 3)"
            )
        )
        connection.execute(
            text(
                "UPDATE liber.exposure SET exposed_at = exposed_at + interval '30 days' "
                "WHERE user_id IN (SELECT user_id FROM liber.exposure ORDER BY user_id DESC LIMIT 5)"
            )
        )
    quality = readout(engine, NAME).quality
    assert (quality.wrong_arm, quality.exposed_outside) == (3, 5)


def test_the_same_data_give_the_stored_record_back(engine: Engine) -> None:
    simulate(engine, users=5_000)
    first = readout(engine, NAME)
    later = readout(engine, NAME, watermark=datetime(2027, 1, 1, tzinfo=UTC))
    assert (first.created, later.created) == (True, False)
    assert later.to_dict() == first.to_dict()
    with engine.connect() as connection:
        records = connection.execute(text("SELECT result, input_sha256 FROM liber.readout ORDER BY until_day")).all()
    assert len(records) == 7  # a look a day
    assert records[-1].input_sha256 == first.input_sha256
    assert from_dict(records[-1].result) == first


def test_other_data_give_another_record_and_leave_the_first(engine: Engine) -> None:
    simulate(engine, users=5_000)
    early = readout(engine, NAME, watermark=datetime(2026, 1, 8, tzinfo=UTC))
    final = readout(engine, NAME)
    assert (early.complete, final.complete) == (False, True)
    assert early.input_sha256 != final.input_sha256
    assert readout(engine, NAME, watermark=datetime(2026, 1, 8, tzinfo=UTC)) == early
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM liber.readout")).scalar_one() == 7
        current = connection.execute(text("SELECT result FROM liber.readout_current")).scalar_one()
    assert from_dict(current) == final


def test_a_missing_arm_is_named(engine: Engine, add_experiment: AddExperiment) -> None:
    key = add_experiment()
    expose(engine, key, [(f"u{n}", "control", START) for n in range(3)])
    behave(engine, [("u1", START, 1.0), ("u1", END, 1.0)])
    with pytest.raises(InputError, match="0 exposed users in the treatment arm"):
        readout(engine, "real")


def test_no_exposure_is_a_sentence(engine: Engine, add_experiment: AddExperiment) -> None:
    add_experiment()
    with pytest.raises(InputError, match="no plays"):
        readout(engine, "real")
    behave(engine, [("u1", END - timedelta(hours=1), 1.0)])
    with pytest.raises(InputError, match="no exposed user"):
        readout(engine, "real", watermark=END)


def test_a_day_whose_plays_have_not_come_is_not_read_as_silence(engine: Engine, add_experiment: AddExperiment) -> None:
    key = add_experiment()
    expose(engine, key, [(f"{arm}{n}", arm, START) for arm in ("control", "treatment") for n in range(3)])
    behave(engine, [(f"{arm}1", START + timedelta(hours=30), 1.0) for arm in ("control", "treatment")])
    with pytest.raises(InputError, match="Ingest the plays of that day first"):
        readout(engine, "real", watermark=START + timedelta(days=3))
    assert readout(engine, "real", watermark=START + timedelta(days=2)).metrics["play_count"].raw.control is not None


def test_an_unknown_experiment_is_named(engine: Engine) -> None:
    with pytest.raises(InputError, match="'nothing' is unknown: there is no experiment yet"):
        readout(engine, "nothing")
