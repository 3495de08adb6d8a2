"""How many users and days: as the solver of tea-tasting says, and as a simulation confirms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from tea_tasting.aggr import Aggregates
from tea_tasting.metrics import RatioOfMeans

from liber_tasks.errors import InputError
from liber_tasks.experiment.power import History, detectable_effect, needed_users

HISTORY = History(days=7, users=100_000, mean=30.0, variance=1_800.0, correlation=0.85)


@given(st.floats(0.005, 0.2), st.floats(0.05, 0.5), st.floats(0.05, 0.5), st.floats(0, 0.95))
def test_users_needed_show_the_effect_they_were_computed_for(
    effect: float, control: float, treatment: float, correlation: float
) -> None:
    history = History(7, 10, 30.0, 1_800.0, correlation)
    users = needed_users(history, effect, control, treatment)
    assert detectable_effect(history, *users) <= effect * (1 + 1e-9)
    assert users[0] / users[1] == pytest.approx(control / treatment, abs=1.1 * (1 + control / treatment) / min(users))


def test_it_is_tea_tastings_solver() -> None:
    data = Aggregates(1_000, {"y": 30.0, "x": 0.0}, {"y": 1_800.0, "x": 1.0}, {("x", "y"): 0.85 * 1_800**0.5})
    settings = {"alpha": 0.05, "power": 0.8, "equal_var": False, "use_t": True}
    solver = RatioOfMeans("y", None, "x", rel_effect_size=0.02, **settings)
    (solved,) = solver.solve_power_from_aggregates(data, "n_obs")  # which it finds for equal shares only
    assert sum(needed_users(HISTORY, 0.02, 0.3, 0.3)) == pytest.approx(solved.n_obs, rel=0.002)
    (solved,) = RatioOfMeans("y", None, "x", n_obs=8_000, ratio=3, **settings).solve_power_from_aggregates(data)
    assert detectable_effect(HISTORY, 2_000, 6_000) == pytest.approx(solved.rel_effect_size, rel=0.002)


def test_the_planned_users_find_the_effect_four_times_in_five() -> None:
    history = History(7, 10, 10.0, 20.0)
    users, _ = needed_users(history, 0.05, 0.5, 0.5)
    rng = np.random.default_rng(0)
    shape = 10.0**2 / 20
    found = 0
    for _ in range(400):
        control, treatment = rng.gamma(shape, 2.0, users), rng.gamma(shape, 2.0, users) * 1.05
        z = (treatment.mean() - control.mean()) / ((control.var() + treatment.var()) / users) ** 0.5
        found += abs(z) > norm.ppf(0.975)
    assert found / 400 == pytest.approx(0.8, abs=4 * (0.8 * 0.2 / 400) ** 0.5)


def test_cuped_saves_the_share_of_variance_that_the_pre_period_explains() -> None:
    raw = History(7, 100_000, 30.0, 1_800.0)
    assert needed_users(HISTORY, 0.01, 0.1, 0.1)[0] == pytest.approx(
        (1 - 0.85**2) * needed_users(raw, 0.01, 0.1, 0.1)[0], rel=1e-3
    )


@pytest.mark.parametrize(
    "history",
    [
        History(7, 10, 0.0, 1.0), History(7, 10, 1.0, 0.0), History(7, 10, 1.0, 1.0, 1.0),
        History(7, 10, float("nan"), 1.0),
    ],
)  # fmt: skip
def test_a_history_without_plays_or_spread_is_refused(history: History) -> None:
    with pytest.raises(InputError, match="history of 7 days"):
        needed_users(history, 0.01, 0.5, 0.5)


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(InputError, match="effect"):
        needed_users(HISTORY, 0.0, 0.5, 0.5)
    with pytest.raises(InputError, match="shares"):
        needed_users(HISTORY, 0.01, 0.6, 0.5)
    with pytest.raises(InputError, match="at least 2"):
        detectable_effect(HISTORY, 1, 100)
