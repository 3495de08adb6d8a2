"""What a readout reads of liber.user_metric: moments of its users by arm and segment, plain and capped.

The users beyond a cap are a few of a thousand. They are fetched; capped moments are the plain ones without these
users plus the same users capped: one scan for all moments and one for the extremes.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from sqlalchemy import Connection

from liber_tasks.db import query
from liber_tasks.experiment.moments import Moments, of_columns, of_row, total
from liber_tasks.experiment.plan import Metric

CAPPED_SHARE = 0.001  # of the users, beyond the cap: the 99.9th percentile
SAMPLED = 50_000  # users that the first guess of the caps is made from
CAPPED = ("play_count", "play_seconds", "pre_play_count", "pre_play_seconds")
SMALLEST = float(np.finfo(float).tiny)
ARMS = ("control", "treatment")

Segment = tuple[str, ...]
Cells = dict[tuple[str, Segment], Moments]  # by arm and segment values


@dataclass(frozen=True)
class Counts:
    """Users by arm."""

    exposed: dict[str, int]  # all
    left_out: dict[str, dict[str, int]]  # reason -> arm
    wrong_arm: int
    without_pre_period: dict[str, int]  # of those counted
    without_play: dict[str, int]


@dataclass(frozen=True)
class Totals:
    """Moments of all users that are counted.

    Attributes:
        counts: of users.
        digest: changes with any row.
        plain, capped: by arm and segment, of the built-in columns.
        caps: value by column.
        custom: the same of the experiment's own metrics: name -> (plain, capped, cap).
    """

    counts: Counts
    digest: list[str]
    plain: Cells
    capped: Cells
    caps: dict[str, float]
    custom: dict[str, tuple[Cells, Cells, float]] = field(default_factory=dict)


class Reader:
    """Reads one experiment. The digest comes first: it tells whether the rest need be read at all."""

    def __init__(self, connection: Connection, experiment_key: int) -> None:
        """`connection`: in the transaction that holds the experiment."""
        self._connection, self._key = connection, {"experiment_key": experiment_key}

    @cached_property
    def _rows(self) -> Sequence[Any]:
        return self._connection.execute(query("experiment/moments"), self._key).mappings().all()

    @property
    def digest(self) -> list[str]:
        """Number of rows, and sums of two hashes of 64 bits."""
        return [
            str(sum(row["users"] for row in self._rows)),
            *(str(sum(int(row[name]) for row in self._rows)) for name in ("digest", "digest_2")),
        ]

    @property
    def counts(self) -> Counts:
        """Users by arm."""
        exposed: Counter[str] = Counter()
        left_out: dict[str, Counter[str]] = defaultdict(Counter)
        without: dict[str, Counter[str]] = {name: Counter() for name in ("without_pre_period", "without_play")}
        for row in self._rows:
            exposed[row["arm"]] += row["users"]
            if row["left_out"] is not None:
                left_out[row["left_out"]][row["arm"]] += row["users"]
                continue
            for name, counter in without.items():
                counter[row["arm"]] += row[name]
        return Counts(
            dict(exposed),
            {reason: dict(of) for reason, of in left_out.items()},
            sum(row["wrong_arm"] for row in self._rows),
            dict(without["without_pre_period"]),
            dict(without["without_play"]),
        )

    def totals(self, custom: Iterable[Metric]) -> Totals:
        """All moments. `custom`: the experiment's own metrics, in the order of the definition."""
        plain: Cells = {}
        for row in self._rows:
            if row["left_out"] is None:
                cell = {name: values for name, values in row.items() if " " in name}
                plain[row["arm"], tuple(row["segment"])] = of_row(row["users"], cell)
        users = sum(cell.n for cell in plain.values())
        caps, extremes = self._extremes(users)
        own = {metric.name: self._own(place, users) for place, metric in enumerate(custom, 1)}
        return Totals(self.counts, self.digest, plain, _capped(plain, extremes, caps), caps, own)

    def distribution(self, users: int) -> list[Any]:
        """Rows of `experiment/distribution.sql` over some of the blocks, and so of about 200,000 users at most."""
        per_cent = min(100.0, 100 * 4 * SAMPLED / max(users, 1))
        return list(self._connection.execute(query("experiment/distribution"), {**self._key, "per_cent": per_cent}))

    def _extremes(self, users: int) -> tuple[dict[str, float], Sequence[Any]]:
        """The caps, and the users beyond any of them at least."""
        above = math.floor(CAPPED_SHARE * users)
        guess = self._guess(users)
        rows = self._beyond(guess)
        caps = {}
        for name in CAPPED:
            values = np.sort([getattr(row, name) for row in rows if getattr(row, name) >= guess[name]])
            if len(values) <= above:  # the sample misled, or hardly anybody has a value
                caps = self._exact(above)
                return caps, self._beyond(caps)
            caps[name] = float(values[-1 - above])
        return caps, rows

    def _guess(self, users: int) -> dict[str, float]:
        """Values that five times as many users reach as may lie beyond the cap, as far as a sample tells."""
        sampled = {"per_cent": min(100.0, 100 * SAMPLED / max(users, 1)), "quantile": 1 - 5 * CAPPED_SHARE}
        row = self._connection.execute(query("experiment/caps_sample"), {**self._key, **sampled}).one()
        return {name: max(getattr(row, name) or 0.0, SMALLEST) for name in CAPPED}

    def _beyond(self, bounds: dict[str, float]) -> Sequence[Any]:
        return self._connection.execute(query("experiment/extreme"), {**self._key, **bounds}).all()

    def _exact(self, above: int) -> dict[str, float]:
        row = self._connection.execute(query("experiment/caps"), {**self._key, "above": above}).one()
        return {name: getattr(row, name) or math.inf for name in CAPPED}  # of zeros alone nothing is capped

    def _own(self, place: int, users: int) -> tuple[Cells, Cells, float]:
        key = {**self._key, "place": place}
        above = math.floor(CAPPED_SHARE * users)
        caps = self._connection.execute(query("experiment/caps_custom"), {**key, "above": above}).one()
        rows = self._connection.execute(
            query("experiment/moments_custom"),
            {**key, "cap": caps.cap or math.inf, "pre_cap": caps.pre_cap or math.inf},
        ).all()
        pair = f"custom_{place} pre_custom_{place}"
        plain, capped = (
            {(row.arm, tuple(row.segment)): of_row(row.users, {pair: getattr(row, kind)}) for row in rows}
            for kind in ("raw", "capped")
        )
        return plain, capped, caps.cap or math.inf


def _capped(plain: Cells, extremes: Sequence[Any], caps: dict[str, float]) -> Cells:
    """The plain moments with the users beyond a cap replaced by the same users capped."""
    by_cell: dict[tuple[str, Segment], list[Any]] = defaultdict(list)
    for row in extremes:
        if any(getattr(row, name) > caps[name] for name in CAPPED):
            by_cell[row.arm, tuple(row.segment)].append(row)
    capped = {cell: moments.of(CAPPED) for cell, moments in plain.items()}
    for cell, rows in by_cell.items():
        columns = {name: np.array([getattr(row, name) for row in rows], dtype=float) for name in CAPPED}
        cut = {name: np.minimum(values, caps[name]) for name, values in columns.items()}
        pairs = capped[cell].scatter
        capped[cell] = capped[cell] - of_columns(columns, pairs) + of_columns(cut, pairs)
    return capped


def by_arm(cells: Cells, chosen: Callable[[Segment], bool] = lambda _: True) -> dict[str, Moments]:
    """Moments of each arm's users whose segment values are chosen; an arm without a user has `n` 0."""
    return {
        arm: total(moments for (of, segment), moments in cells.items() if of == arm and chosen(segment)) for arm in ARMS
    }
