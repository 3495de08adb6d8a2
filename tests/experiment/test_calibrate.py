"""A/A calibration: the readout's own p-values, thousands of times."""

import numpy as np
import pytest

from liber_tasks.errors import InputError
from liber_tasks.experiment import calibrate as module
from liber_tasks.experiment.calibrate import METHODS, assignments, calibrate, capped, p_values
from liber_tasks.experiment.statistics import METRICS, raw_and_adjusted
from tests.experiment.arrays import COLUMNS, arms, week


@pytest.mark.parametrize("definition", METRICS, ids=lambda one: one.name)
@pytest.mark.parametrize("method", METHODS)
def test_a_split_has_the_readouts_p_value(definition: module.Definition, method: str) -> None:
    columns, _ = week(900, 1)
    (treated,) = assignments(900, 0.3, 6, seed=4)
    found = p_values(columns, treated, definition, method)
    adjusted, capping = METHODS[method]
    used = {name: capped(values) for name, values in columns.items()} if capping else columns
    for split, p_value in zip(treated, found, strict=True):
        expected = raw_and_adjusted(definition, arms(used, split))[adjusted].p_value
        assert p_value == pytest.approx(expected, abs=1e-6)


def test_five_percent_of_random_splits_look_significant() -> None:
    columns, _ = week(2_000, 2)
    found = calibrate(columns, 0.5, splits=2_000, seed=1)
    assert {(one.metric, one.method) for one in found} == {(m.name, method) for m in METRICS for method in METHODS}
    for one in found:
        assert one.splits == 2_000
        assert one.low < one.rate < one.high
        assert one.rate == pytest.approx(0.05, abs=4 * (0.05 * 0.95 / 2_000) ** 0.5), one


def test_wilsons_band_is_the_closed_form() -> None:
    columns, _ = week(300, 3)
    one = calibrate(columns, 0.5, definitions=METRICS[:1], splits=500)[0]
    n, p, z = one.splits, one.rate, 1.959963984540054
    middle, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    assert (one.low, one.high) == pytest.approx(
        ((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)), abs=1e-9
    )


def test_the_seed_decides_and_memory_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    columns, _ = week(500, 4)
    whole = calibrate(columns, 0.5, splits=300, seed=9)
    monkeypatch.setattr(module, "CHUNK_BYTES", 8 * 500 * 7)
    assert calibrate(columns, 0.5, splits=300, seed=9) == whole
    assert calibrate(columns, 0.5, splits=300, seed=10) != whole


def test_the_share_is_kept() -> None:
    (treated,) = assignments(10_000, 0.25, 50, seed=0)
    assert treated.mean() == pytest.approx(0.25, abs=0.005)


def test_the_cap_is_an_order_statistic_of_both_arms_together() -> None:
    values = np.random.default_rng(0).permutation(np.arange(1.0, 10_001.0))
    assert capped(values).max() == 9_990
    assert (capped(values) == np.minimum(values, 9_990)).all()
    assert capped(np.array([5.0])).tolist() == [5.0]
    assert capped(values[:100]).max() == values[:100].max()  # of so few, none lies above


def test_degenerate_columns_give_reasons_never_nan() -> None:
    columns, _ = week(400, 5)
    silent = {name: np.zeros(400) if name.startswith("pre_") else values for name, values in columns.items()}
    same = {name: np.full(400, 0.1) for name in COLUMNS}
    for one in calibrate(silent, 0.5, splits=50):
        assert (one.reason is None) == (not METHODS[one.method][0])
        assert (one.rate is None) == (one.reason is not None)
    for one in calibrate(same, 0.5, splits=50):
        assert (one.splits, one.rate, one.low, one.high) == (0, None, None, None)
        assert "equal values" in (one.reason or "")
    tiny = {name: np.arange(4.0) for name in COLUMNS}  # a split may leave an arm with one user, or none
    for one in calibrate(tiny, 0.5, splits=50):
        assert one.rate is None or 0 <= one.rate <= 1


def test_what_cannot_be_split_is_refused() -> None:
    with pytest.raises(InputError, match="at least 4"):
        calibrate({name: np.ones(1) for name in COLUMNS}, 0.5)
    with pytest.raises(InputError, match="treatment_share"):
        calibrate({name: np.ones(10) for name in COLUMNS}, 1.0)
    with pytest.raises(InputError, match="same ones"):
        calibrate({"play_count": np.ones(10), "play_seconds": np.ones(9)}, 0.5)
