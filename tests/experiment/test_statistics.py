"""The statistics keep their promised error rate, and say so where they cannot be computed."""

import numpy as np
import pytest

from liber_tasks.experiment.moments import Moments, of_columns
from liber_tasks.experiment.record import METHODS
from liber_tasks.experiment.simulate import activity
from liber_tasks.experiment.statistics import METRICS, estimates, hidden, raw_and_adjusted, sample_ratio

COLUMNS = ("play_count", "play_seconds", "active_days", "pre_play_count", "pre_play_seconds", "pre_active_days")


def moments(rows: np.ndarray) -> Moments:
    """Moments of one arm; rows are users, columns as in COLUMNS."""
    columns = {name: rows[:, n].astype(float) for n, name in enumerate(COLUMNS)}
    return of_columns(columns, [(a, b) for a in COLUMNS for b in COLUMNS])


def week_totals(treated: np.ndarray, seed: int, lift: float) -> np.ndarray:
    plays = activity(treated, np.random.default_rng(seed), lift, lift)
    weeks = [plays.day >= 0, plays.day < 0]
    return np.column_stack([
        np.bincount(plays.user[week], values[week], len(treated))
        for week in weeks for values in (plays.play_count, plays.play_seconds, np.ones_like(plays.play_seconds))
    ])  # fmt: skip


def arms(rows: np.ndarray, treated: np.ndarray) -> dict[str, Moments]:
    return {"control": moments(rows[~treated]), "treatment": moments(rows[treated])}


def test_intervals_cover_the_truth_nineteen_times_in_twenty() -> None:
    treated = np.arange(2_000) % 2 == 1
    runs, covered = 120, {"raw": 0, "cuped": 0}
    for seed in range(runs):
        both = raw_and_adjusted(METRICS[0], arms(week_totals(treated, seed, 0.05), treated))
        for name, estimate in zip(covered, both, strict=True):
            covered[name] += estimate.lift_low < 0.05 < estimate.lift_high
    for name, times in covered.items():
        assert times / runs == pytest.approx(0.95, abs=4 * (0.95 * 0.05 / runs) ** 0.5), name


def test_capping_narrows_what_a_few_heavy_users_widen() -> None:
    treated = np.arange(20_000) % 2 == 1
    rows = week_totals(treated, 1, 0.0)
    rows[7, :2] *= 100
    plain, cut = arms(rows, treated), arms(np.minimum(rows, np.quantile(rows, 0.999, axis=0)), treated)
    found = estimates(METRICS[0], plain, cut)
    width = {name: one.lift_high - one.lift_low for name, one in found.items()}
    assert list(found) == list(METHODS)
    assert width["capped"] < width["raw"]
    assert width["capped_cuped"] < width["cuped"]
    assert estimates(METRICS[0], plain, None)["capped"].reason


def test_sample_ratio_follows_unequal_shares() -> None:
    assert sample_ratio(1_000, 3_000, 0.1, 0.3).ok
    assert not sample_ratio(1_000, 3_000, 0.1, 0.1).ok
    assert sample_ratio(1_000, 3_000, 0.1, 0.3).p_value == pytest.approx(1)


def test_a_mismatch_lists_what_the_data_show_first() -> None:
    causes = {"not seen": False, "seen": True}
    assert sample_ratio(1_000, 1_000, 0.1, 0.1, causes).causes == []
    assert sample_ratio(1_000, 3_000, 0.1, 0.1, causes).causes == ["seen", "not seen"]


def test_a_constant_pre_period_gives_no_cuped() -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.poisson(5, (500, 3)), np.full((500, 3), 3.0)])
    raw, cuped = raw_and_adjusted(METRICS[0], arms(rows, np.arange(500) < 250))
    assert raw.lift is not None
    assert cuped.lift is None
    assert "the same for every user" in (cuped.reason or "")


@pytest.mark.parametrize("arm", ["control", "treatment"])
@pytest.mark.parametrize("definition", METRICS, ids=lambda one: one.name)
def test_an_arm_without_plays_has_no_relative_lift(arm: str, definition: object) -> None:
    playing = moments(np.random.default_rng(1).poisson(5, (200, 6)))
    both = {"control": playing, "treatment": playing} | {arm: moments(np.zeros((200, 6)))}
    for estimate in raw_and_adjusted(definition, both):
        assert estimate.lift is None
        assert f"mean of the {arm} arm is not positive" in (estimate.reason or "")


def test_equal_values_have_no_interval() -> None:
    same = moments(np.full((50, 6), 2.0))
    raw, _ = raw_and_adjusted(METRICS[0], {"control": same, "treatment": same})
    assert "same value" in (raw.reason or "")


def test_one_user_is_no_arm() -> None:
    one, many = moments(np.ones((1, 6))), moments(np.random.default_rng(1).poisson(5, (200, 6)))
    raw, cuped = raw_and_adjusted(METRICS[0], {"control": many, "treatment": one})
    assert raw == cuped
    assert "treatment arm has 1 users" in (raw.reason or "")


def test_a_hidden_metric_has_no_number() -> None:
    found = hidden("because")
    assert set(found) == set(METHODS)
    assert all(value is None or value == "because" for one in found.values() for value in vars(one).values())
