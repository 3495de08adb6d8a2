"""What goes wrong in real experiments, planted in a simulated one. The defaults plant nothing."""

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from liber_tasks.errors import InputError

if TYPE_CHECKING:
    from liber_tasks.experiment.simulate import Activity, Lift

BOT_PLAYS = 3_000  # a day, of a second each
LARGEST = {"bots": 0.5, "lost": 0.9, "swapped": 0.9}


@dataclass(frozen=True)
class Flaws:
    """Shares of the exposed users, and how a lift fades."""

    bots: float = 0.0  # users of both arms who play without end, in the pre-period too
    lost: float = 0.0  # of the treated users: their exposure was never logged, which is a sample ratio mismatch
    swapped: float = 0.0  # users served, and logged, in the other arm than their bucket's
    fade: float = 1.0  # lift of a day over that of the day before; the mean over the week stays as planted

    def __post_init__(self) -> None:
        for name, largest in LARGEST.items():
            if not 0 <= getattr(self, name) <= largest:
                raise InputError(f"{name} is {getattr(self, name)}: a share, at least 0 and at most {largest}.")
        if not 0 < self.fade <= 2:
            raise InputError(f"fade is {self.fade}: must lie above 0 and be at most 2 (1 lasts, 0.7 fades).")

    def planted(self) -> dict[str, float]:
        """What is not at its default; for the experiment's parameters."""
        return {one.name: asdict(self)[one.name] for one in fields(self) if asdict(self)[one.name] != one.default}

    def arms(self, treated: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Who is really treated, and whose exposure is logged; bool, one a user."""
        rng = np.random.default_rng([seed, 2])
        served = treated ^ (rng.random(len(treated)) < self.swapped)
        return served, ~(served & (rng.random(len(treated)) < self.lost))

    def lift(self, mean: float, weekday: np.ndarray) -> "Lift":
        """Lift of each day; weighted by the days' plays it has the given mean."""
        if self.fade == 1:
            return mean
        course = self.fade ** np.arange(len(weekday))
        lifts = mean * course / np.average(course, weights=weekday)
        if min(lifts) <= -1:
            raise InputError(f"A lift of {mean} that fades by {self.fade} starts below -1: choose a smaller one.")
        return lifts

    def with_bots(self, plays: "Activity", users: int, seed: int) -> "Activity":
        """Plays in which some users are bots."""
        if not self.bots:
            return plays
        rng = np.random.default_rng([seed, 3])
        bots = np.flatnonzero(rng.random(users) < self.bots)
        days = np.unique(plays.day)
        kept = ~np.isin(plays.user, bots)
        made = rng.poisson(BOT_PLAYS, len(bots) * len(days)).astype(np.int32)
        columns = {
            "user": np.repeat(bots, len(days)), "day": np.tile(days, len(bots)),
            "play_count": made, "play_seconds": made.astype(float),
        }  # fmt: skip
        joined = {name: np.concatenate([getattr(plays, name)[kept], new]) for name, new in columns.items()}
        order = np.lexsort((joined["day"], joined["user"]))
        return replace(plays, **{name: values[order] for name, values in joined.items()})


NONE = Flaws()
