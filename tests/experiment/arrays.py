"""Experiments as arrays: per-user columns of simulated plays, and the closed forms to judge estimates by."""

from collections.abc import Mapping

import numpy as np
from tea_tasting.aggr import Aggregates

from liber_tasks.experiment.moments import Moments, of_columns
from liber_tasks.experiment.simulate import DAYS, Lift, activity

COLUMNS = ("play_count", "play_seconds", "active_days", "pre_play_count", "pre_play_seconds", "pre_active_days")


def days(treated: np.ndarray, rng: np.random.Generator, lift_count: Lift = 0.0, lift_time: Lift = 0.0) -> np.ndarray:
    """Plays and seconds by user and day, (2, users, 14) float64; the first 7 days are the pre-period."""
    plays = activity(treated, rng, lift_count, lift_time)
    cell = plays.user * 2 * DAYS + plays.day + DAYS
    size = len(treated) * 2 * DAYS
    sums = [np.bincount(cell, values, size) for values in (plays.play_count, plays.play_seconds)]
    return np.reshape(sums, (2, len(treated), 2 * DAYS))


def totals(by_day: np.ndarray, exposed: np.ndarray | None = None, until: int = DAYS) -> dict[str, np.ndarray]:
    """Per-user columns before the end of day `until`, each user counted from the day of exposure (0: the first)."""
    start = np.zeros(by_day.shape[1], int) if exposed is None else exposed
    counted = (np.arange(DAYS) >= start[:, None]) & (np.arange(DAYS) < until)
    by_day = np.concatenate([by_day, by_day[:1] > 0])
    during, before = (by_day[:, :, DAYS:] * counted).sum(2), by_day[:, :, :DAYS].sum(2)
    return dict(zip(COLUMNS, (*during, *before), strict=True))


def week(users: int, seed: int, lift_count: float = 0.0, lift_time: float = 0.0) -> tuple[dict, np.ndarray]:
    """Per-user columns of one week, and who is treated (every other user)."""
    treated = np.arange(users) % 2 == 1
    return totals(days(treated, np.random.default_rng(seed), lift_count, lift_time)), treated


def arms(columns: Mapping[str, np.ndarray], treated: np.ndarray) -> dict[str, Moments]:
    """Moments of the control and the treatment arm."""
    return {"control": moments(columns, ~treated), "treatment": moments(columns, treated)}


def moments(columns: Mapping[str, np.ndarray], chosen: np.ndarray) -> Moments:
    """Moments of the chosen users."""
    picked = {name: np.asarray(values[chosen], float) for name, values in columns.items()}
    return of_columns(picked, [(a, b) for a in columns for b in columns])


def aggregates(columns: Mapping[str, np.ndarray], chosen: np.ndarray) -> Aggregates:
    """Count, means, variances and covariances of the chosen users."""
    names = list(columns)
    rows = np.array([columns[name][chosen] for name in names], float)
    covariance = np.atleast_2d(np.cov(rows))
    return Aggregates(
        count_=rows.shape[1],
        mean_=dict(zip(names, rows.mean(1).tolist(), strict=True)),
        var_=dict(zip(names, covariance.diagonal().tolist(), strict=True)),
        cov_={(a, b): float(covariance[i, j]) for i, a in enumerate(names) for j, b in enumerate(names) if a < b},
    )


def delta_interval(y: np.ndarray, treated: np.ndarray) -> tuple[float, float]:
    """Log ratio of the arms' means of y and its standard error, written from the delta method."""
    control, treatment = y[~treated], y[treated]
    parts = [arm.var(ddof=1) / len(arm) / arm.mean() ** 2 for arm in (control, treatment)]
    return float(np.log(treatment.mean() / control.mean())), float(sum(parts) ** 0.5)
