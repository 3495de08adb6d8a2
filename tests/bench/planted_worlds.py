"""Simulated experiments with known lifts, as moments that many estimators can be judged by at once.

Users, heavy tails and both weeks' correlation are `simulate.activity`'s. What real experiments add is planted here:
users exposed day by day, lifts that fade or differ between users, bots, and users who saw both arms.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from liber_tasks.experiment.batch import Lifts, Moments, Products, compare
from liber_tasks.experiment.calibrate import METHODS, capped
from liber_tasks.experiment.simulate import DAYS, WEEKDAY, Lift
from liber_tasks.experiment.statistics import METRICS, Definition
from tests.experiment.arrays import COLUMNS, days, totals

COUNT, TIME = 0.0301, 0.0769  # the paper's lifts of play count and play time (Table 5)
BOTS = 0.0005  # of the users
BOT_PLAYS = 3_000  # a day
Cells = dict[tuple[str, str], Lifts]  # by metric and method

PLANTED = METRICS[:3]  # whose true lift is known: plays, play time and their ratio


@dataclass(frozen=True)
class World:
    """One simulated experiment."""

    by_day: np.ndarray  # plays and seconds, (2, users, 14)
    treated: np.ndarray  # bool
    exposed: np.ndarray  # int, day of exposure


@dataclass(frozen=True)
class Scenario:
    """How to draw a world, and the true relative lifts of play count and play time."""

    draw: Callable[[int, int], World]  # users, seed
    count: float
    time: float

    def truth(self, definition: Definition) -> float:
        """True lift of a metric: the ratio of the arms' expected totals."""
        return {"play_count": self.count, "play_time": self.time}.get(
            definition.name, (1 + self.time) / (1 + self.count) - 1
        )


def scenarios() -> dict[str, Scenario]:
    """Every kind of experiment by name."""
    fade = 0.7 ** np.arange(DAYS)
    fade = fade / (fade @ WEEKDAY / WEEKDAY.sum())  # of mean 1 over the week's expected plays

    def varied(lift: Callable[[np.ndarray], np.ndarray]) -> Callable[[int, int], World]:
        return lambda users, seed: world(users, seed, lift)

    return {
        "reference": Scenario(varied(lambda segment: np.ones((1, 1))), COUNT, TIME),
        "no_lift": Scenario(varied(lambda segment: np.zeros((1, 1))), 0.0, 0.0),
        "fading": Scenario(varied(lambda segment: fade), COUNT, TIME),
        "segments": Scenario(varied(lambda segment: 2.0 * segment[:, None]), COUNT, TIME),  # 0 for half of the users
        "exposed_day_by_day": Scenario(lambda users, seed: _day_by_day(world(users, seed), seed), COUNT, TIME),
        "bots": Scenario(lambda users, seed: _with_bots(world(users, seed), seed), COUNT, TIME),
        "both_arms_left_out": Scenario(lambda users, seed: _some_left_out(world(users, seed), seed), COUNT, TIME),
    }


def world(users: int, seed: int, lift: Callable[[np.ndarray], np.ndarray] = lambda segment: np.ones((1, 1))) -> World:
    """Users all exposed on the first day; `lift` scales the paper's lifts by user and day, given a 0/1 segment."""
    rng = np.random.default_rng([seed, 11])
    treated = rng.random(users) < 0.5
    scale: Lift = lift((np.arange(users) % 2).astype(float))
    return World(days(treated, rng, COUNT * scale, TIME * scale), treated, np.zeros(users, int))


def columns(one: World, until: int = DAYS) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Per-user columns and arms of the users exposed before the end of day `until`."""
    there = one.exposed < until
    found = totals(one.by_day[:, there], one.exposed[there], until)
    return found, one.treated[there]


def cells(rows: Iterator[tuple[Mapping[str, np.ndarray], np.ndarray]]) -> Cells:
    """Every metric by every method in each of the given experiments."""
    parts: dict[bool, list[tuple[Moments, Moments]]] = {False: [], True: []}
    for values, treated in rows:
        for capping, found in parts.items():
            used = [capped(values[name]) if capping else values[name] for name in COLUMNS]
            found.append(Products(used).moments(treated[None]))
    arms = {capping: [_stacked(arm) for arm in zip(*found, strict=True)] for capping, found in parts.items()}
    return {
        (definition.name, method): compare(definition, COLUMNS, *arms[capping], adjusted)
        for definition in PLANTED for method, (adjusted, capping) in METHODS.items()
    }  # fmt: skip


def _stacked(parts: Sequence[Moments]) -> Moments:
    return Moments(*(np.concatenate([vars(one)[name] for one in parts]) for name in ("users", "mean", "covariance")))


def _day_by_day(one: World, seed: int) -> World:
    exposed = np.random.default_rng([seed, 12]).integers(0, DAYS, len(one.treated))
    return World(one.by_day, one.treated, exposed)


def _with_bots(one: World, seed: int) -> World:
    rng = np.random.default_rng([seed, 13])
    bots = np.flatnonzero(rng.random(len(one.treated)) < BOTS)
    by_day = one.by_day.copy()
    by_day[0, bots] = rng.poisson(BOT_PLAYS, (len(bots), 2 * DAYS))
    by_day[1, bots] = by_day[0, bots] * rng.uniform(1, 30, (len(bots), 1))
    return World(by_day, one.treated, one.exposed)


def _some_left_out(one: World, seed: int) -> World:
    """5 % of the users saw both arms, which is chance, and are left out of both."""
    kept = np.random.default_rng([seed, 14]).random(len(one.treated)) >= 0.05
    return World(one.by_day[:, kept], one.treated[kept], one.exposed[kept])
