"""Count, means and scatter of per-user columns: all that an estimate is made of. Moments of disjoint users add up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tea_tasting.aggr import Aggregates

Pair = tuple[str, str]


@dataclass(frozen=True)
class Moments:
    """Of `n` users. Adding and subtracting keep their precision: deviations are from the mean (Chan et al., 1983)."""

    n: int = 0
    mean: Mapping[str, float] = field(default_factory=dict)
    scatter: Mapping[Pair, float] = field(default_factory=dict)  # sum of products of deviations, by sorted pair

    def __add__(self, other: "Moments") -> "Moments":
        """Of both groups of users, who are disjoint."""
        if not self.n or not other.n:
            return self if self.n else other
        n = self.n + other.n
        apart = {name: other.mean[name] - mean for name, mean in self.mean.items()}
        return Moments(
            n,
            {name: mean + apart[name] * other.n / n for name, mean in self.mean.items()},
            {
                (a, b): value + other.scatter[a, b] + apart[a] * apart[b] * self.n * other.n / n
                for (a, b), value in self.scatter.items()
            },
        )

    def __sub__(self, part: "Moments") -> "Moments":
        """Of the users that are not of the part."""
        n = self.n - part.n
        if not part.n or not n:
            return self if n else Moments()
        mean = {name: (mean * self.n - part.mean[name] * part.n) / n for name, mean in self.mean.items()}
        apart = {name: part.mean[name] - mean[name] for name in mean}
        return Moments(
            n,
            mean,
            {
                (a, b): value - part.scatter[a, b] - apart[a] * apart[b] * n * part.n / self.n
                for (a, b), value in self.scatter.items()
            },
        )

    def of(self, names: Iterable[str]) -> "Moments":
        """Some of the columns."""
        kept = set(names)
        return Moments(
            self.n,
            {name: mean for name, mean in self.mean.items() if name in kept},
            {pair: value for pair, value in self.scatter.items() if set(pair) <= kept},
        )

    def aggregates(self) -> "Aggregates":
        """The same as tea-tasting reads it: variances and covariances of a sample, at least two users."""
        from tea_tasting.aggr import Aggregates

        share = 1 / (self.n - 1)
        return Aggregates(
            self.n,
            dict(self.mean),
            {a: max(value, 0.0) * share for (a, b), value in self.scatter.items() if a == b},
            {pair: value * share for pair, value in self.scatter.items() if pair[0] != pair[1]},
        )


def total(parts: Iterable[Moments]) -> Moments:
    """Of all parts together."""
    return reduce(lambda one, other: one + other, parts, Moments())


def of_columns(columns: Mapping[str, np.ndarray], pairs: Iterable[Pair]) -> Moments:
    """Of users given one by one.

    Args:
        columns: (n,) float64 each.
        pairs: whose scatter is wanted; a column's own is always there.
    """
    n = len(next(iter(columns.values()))) if columns else 0
    if not n:
        return Moments()
    mean = {name: float(values.mean()) for name, values in columns.items()}
    apart = {name: values - mean[name] for name, values in columns.items()}
    wanted = {(name, name) for name in columns} | {_sorted(*pair) for pair in pairs}
    return Moments(n, mean, {(a, b): float(apart[a] @ apart[b]) for a, b in sorted(wanted)})


def of_row(n: int, row: Mapping[str, Any]) -> Moments:
    """Of a row of `experiment/moments.sql`: columns named after a pair, `y__x`.

    Args:
        n: users.
        row: mean of y, mean of x, scatter of y, of x, of both; or the scatter of both alone.
    """
    mean: dict[str, float] = {}
    scatter: dict[Pair, float] = {}
    for name, values in row.items():
        y, x = name.split("__")
        if len(values) > 1:
            mean[y], mean[x], scatter[y, y], scatter[x, x] = values[:4]
        scatter[_sorted(y, x)] = values[-1]
    return Moments(n, mean, scatter)


def _sorted(a: str, b: str) -> Pair:
    return (a, b) if a <= b else (b, a)
