"""The statistics keep their promised error rate, and say so where they cannot be computed."""

import numpy as np
import pyarrow as pa
import pytest
from tea_tasting.aggr import Aggregates, read_aggregates

from liber_tasks.experiment.simulate import activity
from liber_tasks.experiment.statistics import METRICS, analyse, hidden, sample_ratio

COLUMNS = ("play_count", "play_seconds", "pre_play_count", "pre_play_seconds")


def aggregates(rows: np.ndarray) -> Aggregates:
    """Aggregates of one arm; rows are users, columns as in COLUMNS."""
    pairs = [(a, b) for a in COLUMNS for b in COLUMNS if a < b]
    table = pa.table({name: rows[:, n].astype(float) for n, name in enumerate(COLUMNS)})
    return read_aggregates(table, None, has_count=True, mean_cols=COLUMNS, var_cols=COLUMNS, cov_cols=pairs)


def week_totals(treated: np.ndarray, seed: int, lift: float) -> np.ndarray:
    plays = activity(treated, np.random.default_rng(seed), lift, lift)
    weeks = [plays.day >= 0, plays.day < 0]
    return np.column_stack([
        np.bincount(plays.user[week], values[week], len(treated))
        for week in weeks for values in (plays.play_count, plays.play_seconds)
    ])  # fmt: skip


def test_intervals_cover_the_truth_nineteen_times_in_twenty() -> None:
    treated = np.arange(2_000) % 2 == 1
    runs, covered = 120, {"raw": 0, "cuped": 0}
    for seed in range(runs):
        rows = week_totals(treated, seed, 0.05)
        metric = analyse(METRICS[0], aggregates(rows[~treated]), aggregates(rows[treated]))
        for name in covered:
            estimate = getattr(metric, name)
            covered[name] += estimate.lift_low < 0.05 < estimate.lift_high
    for name, times in covered.items():
        assert times / runs == pytest.approx(0.95, abs=4 * (0.95 * 0.05 / runs) ** 0.5), name


def test_sample_ratio_follows_unequal_shares() -> None:
    assert sample_ratio(1_000, 3_000, 0.1, 0.3).ok
    assert not sample_ratio(1_000, 3_000, 0.1, 0.1).ok
    assert sample_ratio(1_000, 3_000, 0.1, 0.3).p_value == pytest.approx(1)


def test_a_constant_pre_period_gives_no_cuped() -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.poisson(5, (500, 2)), np.full((500, 2), 3.0)])
    metric = analyse(METRICS[0], aggregates(rows[:250]), aggregates(rows[250:]))
    assert metric.raw.lift is not None
    assert metric.cuped.lift is None
    assert "the same for every user" in (metric.cuped.reason or "")


@pytest.mark.parametrize("arm", ["control", "treatment"])
def test_an_arm_without_plays_has_no_relative_lift(arm: str) -> None:
    playing = aggregates(np.random.default_rng(1).poisson(5, (200, 4)))
    silent = aggregates(np.zeros((200, 4)))
    arms = (silent, playing) if arm == "control" else (playing, silent)
    for definition in METRICS:
        metric = analyse(definition, *arms)
        assert metric.raw.lift is None
        assert f"the {arm} arm played" in (metric.raw.reason or "")


def test_equal_values_have_no_interval() -> None:
    same = aggregates(np.full((50, 4), 2.0))
    assert "same value" in (analyse(METRICS[0], same, same).raw.reason or "")


def test_a_hidden_metric_has_no_number() -> None:
    metric = hidden(METRICS[0], "because")
    assert metric.raw == metric.cuped
    assert [value for value in vars(metric.raw).values() if value is not None] == ["because"]
