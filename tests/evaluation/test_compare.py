"""Rows and differences against the same sums written out."""

import numpy as np
import pytest

from liber_tasks.evaluation.compare import MIN_ROWS, Truth, compare, find, row

ROWS, SEEDS = 240, 3


def _truth(seed: int = 0, with_vector: float = 0.6) -> tuple[Truth, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = (rng.random(ROWS) < 0.5).astype(float)
    truth = Truth(label, rng.integers(0, 20, ROWS), rng.random(ROWS) < with_vector)
    treated, base = (np.clip(0.5 + strength * (label - 0.5) + rng.normal(0, 0.2, (SEEDS, ROWS)), 0.01, 0.99)
                     for strength in (0.3, 0.2))  # fmt: skip
    return truth, treated, base


def _auc(label: np.ndarray, score: np.ndarray) -> float:
    pairs = [(a > b) + 0.5 * (a == b) for a in score[label == 1] for b in score[label == 0]]
    return float(np.mean(pairs))


def _loss(label: np.ndarray, score: np.ndarray) -> float:
    return float(np.mean([-np.log(p if y else 1 - p) for y, p in zip(label, score, strict=True)]))


def test_a_pair_is_compared_seed_by_seed() -> None:
    truth, treated, base = _truth()
    found = compare("din", "liber", "base", truth, treated, base, draws=200)
    before, after = (np.mean([_auc(truth.label, each) for each in scores]) for scores in (base, treated))
    losses = [np.mean([_loss(truth.label, each) for each in scores]) for scores in (base, treated)]
    assert found.lift == pytest.approx(after - before)
    assert found.auc_improvement == pytest.approx((after - before) / before)
    assert found.logloss_improvement == pytest.approx((losses[0] - losses[1]) / losses[0])
    assert found.low < found.lift < found.high  # type: ignore[operator]


def test_rows_with_a_vector_are_compared_on_their_own_when_they_are_enough() -> None:
    truth, treated, base = _truth()
    chosen = truth.with_vector
    assert chosen.sum() >= MIN_ROWS
    found = compare("din", "liber", "base", truth, treated, base, draws=50).with_vector
    means = [np.mean([_auc(truth.label[chosen], each[chosen]) for each in scores]) for scores in (treated, base)]
    assert found is not None
    assert found.lift == pytest.approx(means[0] - means[1])
    few, treated, base = _truth(with_vector=0.2)
    assert few.with_vector.sum() < MIN_ROWS
    assert compare("din", "liber", "base", few, treated, base, draws=50).with_vector is None


def test_a_row_has_the_arms_own_numbers_and_those_of_its_first_pair() -> None:
    truth, treated, base = _truth()
    pair = compare("din", "liber", "base", truth, treated, base, draws=50)
    found, alone = row("din", "liber", truth, treated, pair), row("din", "base", truth, base, None)
    aucs = [_auc(truth.label, each) for each in treated]
    assert found.auc == pytest.approx(np.mean(aucs))
    assert found.auc_sd == pytest.approx(np.std(aucs, ddof=1))
    assert found.logloss == pytest.approx(np.mean([_loss(truth.label, each) for each in treated]))
    assert (found.against, found.lift, found.low, found.high) == ("base", pair.lift, pair.low, pair.high)
    assert (alone.against, alone.lift, alone.seeds) == (None, None, SEEDS)


def test_a_pair_that_was_not_compared_is_not_found() -> None:
    truth, treated, base = _truth()
    pair = compare("din", "liber", "base", truth, treated, base, draws=10)
    assert find([pair], "din", "liber", "base") is pair
    assert find([pair], "din", "base", "liber") is None
    assert find([pair], "dien", "liber", "base") is None
