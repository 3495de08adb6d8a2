"""What a readout reads of liber.user_metric: moments of its users by arm and segment, plain and capped.

The users beyond a cap are a few of a thousand. They are fetched with the moments, by a guess of the caps from a sample;
capped moments are the plain ones without these users plus the same users capped: one scan gives everything.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from sqlalchemy import Connection

from liber_tasks.db import query
from liber_tasks.experiment.moments import Moments, of_columns, of_row, total
from liber_tasks.experiment.plan import Metric
from liber_tasks.experiment.statistics import ARMS, CAPPED_SHARE

SAMPLED = 10_000  # users that the guess of the caps, and the distributions, are made from
CAPPED = ("play_count", "play_seconds", "pre_play_count", "pre_play_seconds")
SMALLEST = float(np.finfo(float).tiny)

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
    def _users(self) -> int:
        return int(self._connection.execute(query("experiment/users"), self._key).scalar_one())

    @cached_property
    def _guess(self) -> dict[str, float]:
        """Values that five times as many users reach as may lie beyond the cap, as far as a sample tells."""
        sampled = {"per_cent": min(100.0, 100 * SAMPLED / max(self._users, 1)), "quantile": 1 - 5 * CAPPED_SHARE}
        row = self._connection.execute(query("experiment/caps_sample"), {**self._key, **sampled}).one()
        return {name: max(getattr(row, name) or 0.0, SMALLEST) for name in CAPPED}

    @cached_property
    def _rows(self) -> Sequence[Any]:
        return self._moments(self._guess)

    def _moments(self, bounds: dict[str, float]) -> Sequence[Any]:
        return self._connection.execute(query("experiment/moments"), {**self._key, **bounds}).mappings().all()

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
                cell = {name: values for name, values in row.items() if "__" in name}
                plain[row["arm"], tuple(row["segment"])] = of_row(row["users"], cell)
        users = sum(cell.n for cell in plain.values())
        extremes, caps = self._extremes(math.floor(CAPPED_SHARE * users))
        own = {metric.name: self._own(place, users) for place, metric in enumerate(custom, 1)}
        return Totals(self.counts, self.digest, plain, _capped(plain, extremes, caps), caps, own)

    def distribution(self) -> list[Any]:
        """Rows of `experiment/distribution.sql` over some of the blocks."""
        per_cent = min(100.0, 100 * SAMPLED / max(self._users, 1))
        return list(self._connection.execute(query("experiment/distribution"), {**self._key, "per_cent": per_cent}))

    def _extremes(self, above: int) -> tuple[dict[tuple[str, Segment], np.ndarray], dict[str, float]]:
        """Users at or beyond any cap at least, (n, 4) by arm and segment, and the caps."""
        extremes = _by_cell(self._rows)
        everyone = np.concatenate([np.zeros((0, len(CAPPED))), *extremes.values()])
        caps = {}
        for place, name in enumerate(CAPPED):
            values = np.sort(everyone[everyone[:, place] >= self._guess[name], place])
            if len(values) <= above:  # the sample misled, or hardly anybody has a value
                row = self._connection.execute(query("experiment/caps"), {**self._key, "above": above}).one()
                caps = {name: getattr(row, name) or math.inf for name in CAPPED}  # of zeros alone nothing is capped
                return _by_cell(self._moments(caps)), caps
            caps[name] = float(values[-1 - above])
        return extremes, caps

    def _own(self, place: int, users: int) -> tuple[Cells, Cells, float]:
        key = {**self._key, "place": place}
        above = math.floor(CAPPED_SHARE * users)
        caps = self._connection.execute(query("experiment/caps_custom"), {**key, "above": above}).one()
        rows = self._connection.execute(
            query("experiment/moments_custom"),
            {**key, "cap": caps.cap or math.inf, "pre_cap": caps.pre_cap or math.inf},
        ).all()
        pair = f"custom_{place}__pre_custom_{place}"
        plain, capped = (
            {(row.arm, tuple(row.segment)): of_row(row.users, {pair: getattr(row, kind)}) for row in rows}
            for kind in ("raw", "capped")
        )
        return plain, capped, caps.cap or math.inf


def _by_cell(rows: Sequence[Any]) -> dict[tuple[str, Segment], np.ndarray]:
    return {
        (row["arm"], tuple(row["segment"])): np.array(row["extreme"], dtype=float)
        for row in rows
        if row["left_out"] is None and row["extreme"]
    }


def _capped(plain: Cells, extremes: Mapping[tuple[str, Segment], np.ndarray], caps: Mapping[str, float]) -> Cells:
    """The plain moments with the users beyond a cap replaced by the same users capped."""
    capped = {cell: moments.of(CAPPED) for cell, moments in plain.items()}
    bounds = np.array([caps[name] for name in CAPPED])
    for cell, users in extremes.items():
        pairs = capped[cell].scatter
        before, after = (
            of_columns(dict(zip(CAPPED, values.T, strict=True)), pairs) for values in (users, np.minimum(users, bounds))
        )
        capped[cell] = capped[cell] - before + after
    return capped


def by_arm(cells: Cells, chosen: Callable[[Segment], bool] = lambda _: True) -> dict[str, Moments]:
    """Moments of each arm's users whose segment values are chosen; an arm without a user has `n` 0."""
    return {
        arm: total(moments for (of, segment), moments in cells.items() if of == arm and chosen(segment)) for arm in ARMS
    }
