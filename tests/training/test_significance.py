"""The interval against a reference that copies the rows of each drawn user and asks scikit-learn."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from liber_tasks.training import significance
from liber_tasks.training.significance import user_bootstrap


def _rows(seed: int, users: int = 12, rows: int = 60, seeds: int = 3) -> tuple[np.ndarray, ...]:
    """Scores with many ties, that know the label a little."""
    rng = np.random.default_rng(seed)
    label = (rng.random(rows) < 0.6).astype(float)
    user = rng.integers(0, users, rows)
    treated = np.round(rng.normal(size=(seeds, rows)) + label, 1)
    base = np.round(rng.normal(size=(seeds, rows)) + 0.5 * label, 1)
    return label, user, treated, base


def _literally(
    label: np.ndarray, user: np.ndarray, treated: np.ndarray, base: np.ndarray, draws: int, seed: int
) -> tuple[float, float, float]:
    """The same, row by row."""

    def difference(rows: np.ndarray) -> float:
        return float(np.mean([roc_auc_score(label[rows], t[rows]) - roc_auc_score(label[rows], b[rows])
                              for t, b in zip(treated, base, strict=True)]))  # fmt: skip

    names = np.unique(user)
    found = []
    for times in np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws):
        rows = np.concatenate([np.tile(np.flatnonzero(user == name), n) for name, n in zip(names, times, strict=True)])
        if 0 < label[rows].sum() < len(rows):
            found.append(difference(rows))
    low, high = np.quantile(found, (0.025, 0.975))
    return difference(np.arange(len(label))), float(low), float(high)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_interval_of_users_drawn_with_all_their_rows(seed: int) -> None:
    rows = _rows(seed)
    assert user_bootstrap(*rows, draws=80, seed=seed) == pytest.approx(_literally(*rows, 80, seed), abs=1e-12)


def test_draws_without_both_classes_are_left_out() -> None:
    label, user = np.array([1, 1, 0, 0, 1]), np.array([0, 0, 1, 1, 2])
    treated, base = np.array([[0.9, 0.2, 0.1, 0.3, 0.8]]), np.array([[0.1, 0.2, 0.5, 0.3, 0.8]])
    expected = _literally(label, user, treated, base, 50, 1)
    assert user_bootstrap(label, user, treated, base, draws=50, seed=1) == pytest.approx(expected, abs=1e-12)


def test_memory_is_bounded_by_blocks_of_users_which_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _rows(4)
    whole = user_bootstrap(*rows, draws=50)
    monkeypatch.setattr(significance, "CELLS", 1)
    assert user_bootstrap(*rows, draws=50) == whole


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(0, 10_000))
def test_the_order_of_rows_changes_nothing_and_equal_predictions_give_exactly_zero(
    seed: int, users: int, shuffle: int
) -> None:
    label, user, treated, base = _rows(seed, users, rows=25)
    assume(0 < label.sum() < len(label))
    order = np.random.default_rng(shuffle).permutation(len(label))
    straight = user_bootstrap(label, user, treated, base, draws=40)
    assert user_bootstrap(label[order], user[order], treated[:, order], base[:, order], draws=40) == straight
    names = np.char.add("u", user.astype(str))
    assert user_bootstrap(label, names, treated, base, draws=40) == straight
    assert user_bootstrap(label, user, treated, treated, draws=40) == (0, 0, 0)


def test_swapping_the_models_turns_the_interval_round() -> None:
    label, user, treated, base = _rows(5)
    found, turned = user_bootstrap(label, user, treated, base), user_bootstrap(label, user, base, treated)
    assert found is not None
    assert turned is not None
    assert turned == pytest.approx((-found.mean, -found.high, -found.low))


def test_one_class_has_no_interval() -> None:
    assert user_bootstrap(np.ones(3), np.arange(3), np.ones((1, 3)), np.ones((1, 3))) is None


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"treated \(2, 3\)"):
        user_bootstrap(np.ones(3), np.arange(3), np.ones((2, 3)), np.ones((1, 3)))


def test_it_covers_the_truth_about_as_often_as_it_says() -> None:
    """Users who agree with themselves: rows drawn one by one would make the interval far too narrow."""
    rng = np.random.default_rng(7)
    users, each, studies = 60, 8, 200
    covered = []
    for study in range(studies):
        user = np.repeat(np.arange(users), each)
        label = rng.random(len(user)) < np.repeat(rng.beta(1, 1, users), each)
        # both models are equally good by construction: the same law of scores, independent given the label
        shift_a, shift_b = (np.repeat(rng.normal(size=users), each) for _ in range(2))
        a, b = (rng.normal(size=len(user)) + label + shift for shift in (shift_a, shift_b))
        found = user_bootstrap(label, user, a[None], b[None], draws=300, seed=study)
        assert found is not None
        covered.append(found.low <= 0 <= found.high)
    assert 0.90 <= np.mean(covered) <= 0.99
