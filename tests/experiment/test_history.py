"""Power before the start: the moments are those of the rows, and the numbers of users hold in simulation."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import Engine

from liber_tasks.errors import InputError
from liber_tasks.experiment.history import MetricPower, power
from liber_tasks.experiment.power import History, detectable_effect, needed_users
from tests.experiment.conftest import behave
from tests.experiment.defining import definition

DAY = timedelta(days=1)
NOW = datetime(2026, 2, 20, tzinfo=UTC)


USERS = 60
PERIOD, PRE = 4, 3


def filled(engine: Engine) -> tuple[np.ndarray, np.ndarray]:
    """Plays and seconds of users by day, (users, PRE + PERIOD); the last day ends at NOW."""
    rng = np.random.default_rng(3)
    counts = rng.poisson(rng.gamma(2, 1, (USERS, 1)), (USERS, PRE + PERIOD))
    seconds = counts * rng.integers(1, 40, counts.shape)
    rows = []
    for user, day in np.argwhere(counts > 0):
        at = NOW - (PRE + PERIOD - int(day)) * DAY
        plays = int(counts[user, day])
        rows += [(f"u{user}", at + timedelta(minutes=n), float(seconds[user, day] / plays)) for n in range(plays)]
    behave(engine, rows)
    return counts, seconds


def plan(**fields: object):
    names = ("play_count", "play_time", "time_per_play", "active_days")
    metrics = [{"name": name, "role": "primary", "decides": "cuped"} for name in names]
    arms = {"control": 0.3, "treatment": 0.6}
    return definition(ends_at="2026-03-06", pre_days=PRE, metrics=metrics, arms=arms, traffic=0.5, **fields)


def ask(engine: Engine, read=None) -> dict[str, MetricPower]:
    read = read or plan()
    report = power(engine, read.plan, read.assignment, read.ends_at - read.starts_at, until=NOW)
    return {one.metric: one for one in report.metrics}


def test_moments_are_those_of_users_with_a_behaviour_in_the_period(engine: Engine) -> None:
    counts, seconds = filled(engine)
    seen = counts[:, PRE:].sum(1) > 0
    assert not seen.all()
    found = ask(engine)
    values = {"play_count": counts, "play_time": seconds, "active_days": counts > 0}
    for name, daily in values.items():
        y, x = daily[seen, PRE:].sum(1), daily[seen, :PRE].sum(1)
        assert found[name].mean == pytest.approx(y.mean(), rel=1e-6)
        assert found[name].variance == pytest.approx(y.var(ddof=1), rel=1e-6)
        assert found[name].correlation == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-6)
    n, d, m, e = (part[seen][:, days].sum(1) for days in (slice(PRE, None), slice(PRE)) for part in (seconds, counts))
    ratio = found["time_per_play"]
    assert ratio.mean == pytest.approx(n.sum() / d.sum(), rel=1e-6)
    linear, before = n - n.sum() / d.sum() * d, m - m.sum() / e.sum() * e
    assert ratio.variance == pytest.approx(linear.var(ddof=1) / d.mean() ** 2, rel=1e-6)
    assert ratio.correlation == pytest.approx(np.corrcoef(before, linear)[0, 1], rel=1e-6)


def test_expected_users_follow_traffic_and_shares(engine: Engine) -> None:
    counts, _ = filled(engine)
    read = plan()
    report = power(engine, read.plan, read.assignment, read.ends_at - read.starts_at, until=NOW)
    users = int((counts[:, PRE:].sum(1) > 0).sum())
    assert (report.users, report.until_day, report.first_day) == (users, NOW.date(), (NOW - 4 * DAY).date())
    assert report.expected == {"control": round(users * 0.15), "treatment": round(users * 0.3)}
    one = report.metrics[0]
    past = History(PERIOD, users, one.mean, one.variance, one.correlation)
    assert one.detectable == pytest.approx(detectable_effect(past, *report.expected.values()))
    assert tuple(one.needed.values()) == needed_users(past, report.minimum_detectable_effect, 0.3, 0.6)
    assert not one.enough


def test_plain_means_are_not_adjusted_and_caps_cut_the_tail(engine: Engine) -> None:
    filled(engine)
    behave(engine, [("whale", NOW - DAY + timedelta(seconds=n), 1.0) for n in range(500)])
    behave(engine, [("whale", NOW - 6 * DAY, 1.0)])
    metrics = [{"name": "play_count", "role": "primary", "decides": d} for d in ("raw", "capped", "cuped")]
    raw, capped, cuped = (
        ask(engine, definition(pre_days=PRE, ends_at="2026-03-06", metrics=[one]))["play_count"] for one in metrics
    )
    assert (raw.correlation, capped.correlation) == (0, 0)
    assert cuped.correlation != 0
    assert raw.mean >= capped.mean
    bounded = ask(engine, plan(bots={"plays_per_day": 100}))["play_count"]
    assert bounded.variance < raw.variance / 10


def test_a_metric_of_ones_own_is_planned_like_the_built_in_one(engine: Engine) -> None:
    filled(engine)
    sql = (
        "SELECT u.user_id, (b.event_time AT TIME ZONE 'UTC')::date AS day, count(*) AS value FROM liber.behavior AS b "
        "JOIN liber.user_profile AS u USING (user_key) GROUP BY 1, 2"
    )
    metrics = [{"name": "play_count", "role": "primary"}, {"name": "mine", "unit": "n", "role": "primary", "sql": sql}]
    found = ask(engine, definition(pre_days=PRE, ends_at="2026-03-06", metrics=metrics))
    own, built_in = found["mine"], found["play_count"]
    assert (own.mean, own.variance, own.correlation) == pytest.approx(
        (built_in.mean, built_in.variance, built_in.correlation)
    )
    assert own.needed == built_in.needed


def test_without_history_there_is_no_power_to_tell(engine: Engine) -> None:
    read = definition()
    with pytest.raises(InputError, match="no behaviour yet"):
        power(engine, read.plan, read.assignment, 7 * DAY)
    behave(engine, [("a", NOW, 1.0)])
    with pytest.raises(InputError, match="no behaviour from 2026-02-10 to 2026-02-16"):
        power(engine, read.plan, read.assignment, 7 * DAY, until=NOW - 3 * DAY)
    with pytest.raises(InputError, match="'play_count' is zero or the same for everybody"):
        power(engine, read.plan, read.assignment, 7 * DAY, until=NOW + DAY)
