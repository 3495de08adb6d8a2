"""The features written out in loops over plain Python lists, and random streams to try them on."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from liber_tasks.training.samples import strictly_earlier

USERS, ITEMS, TIMES = 4, 5, 12  # item 0 is nobody's: the catalogue's "unknown"
UNRATED = 5
DISLIKED, LIKED = (0, 1, 2), (3, 4)  # responses: one to three stars, four and five


class Event(NamedTuple):
    """A behaviour; response 5 is no rating."""

    user: int
    item: int
    response: int
    time: int

    @property
    def rated(self) -> bool:
        return self.response != UNRATED

    @property
    def liked(self) -> bool:
        return self.response in LIKED


EVENTS = st.lists(
    st.builds(Event, st.integers(0, USERS - 1), st.integers(1, ITEMS - 1), st.integers(0, 5), st.integers(0, TIMES)),
    max_size=40,
)
MOMENTS = st.lists(st.integers(-1, TIMES + 2), min_size=1, max_size=5).map(sorted)


def columns(events: Sequence[Event]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """user, item, response, time as arrays."""
    table = np.array(events, dtype=np.int64).reshape(-1, 4)
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3]


def stream(events: Sequence[Event]) -> tuple[np.ndarray, ...]:
    """What `snapshots` reads: columns by user and time, and the range of each behaviour's history."""
    table = columns(sorted(events, key=lambda event: (event.user, event.time)))
    return (*table, *strictly_earlier(table[0], table[3]))


class Counts:
    """What was rated strictly before the last of some moments."""

    def __init__(self, events: Sequence[Event], moments: Sequence[int]) -> None:
        *before, moment = moments
        earlier = Counts(events, before) if before else None
        past = [event for event in events if event.time < moment and event.rated]
        self.rated, self.liked, self.stars = defaultdict[int, int](int), defaultdict[int, int](int), defaultdict[
            int, int](int)  # fmt: skip
        self.pairs, self.pairs_liked = defaultdict[tuple[bool, int, int], int](int), defaultdict[
            tuple[bool, int, int], int](int)  # fmt: skip
        self.surprise: dict[Event, float] = dict(earlier.surprise) if earlier else {}
        self.products, self.squares = (
            defaultdict[tuple[int, int], float](float),
            defaultdict[tuple[int, int], float](float),
        )
        for event in past:
            self.rated[event.item] += 1
            self.liked[event.item] += event.liked
            self.stars[event.item] += event.response + 1
            if event not in self.surprise:
                history = [e for e in sorted(events, key=lambda e: e.time) if (e.user, e.time < event.time) ==
                           (event.user, True)]  # fmt: skip
                self.surprise[event] = earlier.exceeds(event, history) if earlier else 0.0
        for h in past:
            for c in past:
                if h.user == c.user:
                    self.pairs[h.liked, h.item, c.item] += 1
                    self.pairs_liked[h.liked, h.item, c.item] += c.liked
                    self.products[h.item, c.item] += self.surprise[h] * self.surprise[c]
                    self.squares[h.item, c.item] += self.surprise[h] ** 2

    @property
    def overall(self) -> float:
        return (sum(self.liked.values()) + 1) / (sum(self.rated.values()) + 2)

    @property
    def mean(self) -> float:
        return (sum(self.stars.values()) + 3.5 * 5) / (sum(self.rated.values()) + 5)

    def deviation(self, item: int) -> float:
        return (self.stars[item] - self.mean * self.rated[item]) / (self.rated[item] + 5)

    def like_share(self, item: int) -> float:
        return (self.liked[item] + 5 * self.overall) / (self.rated[item] + 5)

    def user(self, history: Sequence[Event], half_life: float) -> float:
        """How much better than others the owner of a history rates."""
        above = total = 0.0
        for age, event in enumerate(reversed(history)):
            if event.rated:
                weight = 0.5 ** (age / half_life)
                above += weight * (event.response + 1 - self.mean - self.deviation(event.item))
                total += weight
        return above / (total + 3)

    def exceeds(self, event: Event, history: Sequence[Event]) -> float:
        return event.response + 1 - self.mean - self.deviation(event.item) - self.user(history, 50)

    def affinity(self, history: Sequence[Event], candidate: int) -> list[float]:
        lifts: dict[bool, list[float]] = {False: [], True: []}
        evidence = regression = correlation = weights = 0.0
        p = self.like_share(candidate)
        for h in history:
            if not h.rated:
                continue
            key = (h.liked, h.item, candidate)
            q = (self.pairs_liked[key] + 10 * p) / (self.pairs[key] + 10)
            lifts[h.liked].append(q - p)
            evidence += math.log(q / (1 - q)) - math.log(p / (1 - p))
            product, square = self.products[h.item, candidate], self.squares[h.item, candidate]
            regression += product / (square + 20) * self.exceeds(h, history)
            norm = math.sqrt(square * self.squares[candidate, h.item])
            both = sum(self.pairs[liked, h.item, candidate] for liked in (False, True))
            weight = product / norm * both / (both + 20) if norm else 0.0
            correlation += weight * self.exceeds(h, history)
            weights += abs(weight)
        all_ = lifts[False] + lifts[True]
        root = math.sqrt(max(len(all_), 1))
        return [_mean(lifts[True]), _mean(lifts[False]), evidence / root, max(all_, default=0.0),
                min(all_, default=0.0), regression / root, correlation / (weights + 1)]  # fmt: skip

    def statistics(self, history: Sequence[Event], candidate: int) -> list[float]:
        ratings = [event for event in history if event.rated]
        return [(sum(event.liked for event in ratings) + 3 * self.overall) / (len(ratings) + 3),
                math.log(1 + len(ratings)), self.user(history, 5), self.user(history, 50), self.like_share(candidate),
                math.log(1 + self.rated[candidate]), self.deviation(candidate)]  # fmt: skip


def profile(vectors: Sequence[Sequence[float]], items: Sequence[int]) -> list[float] | None:
    """Mean of the items' vectors and one of zeros; None: nothing is known of any of them."""
    known = [vectors[item] for item in items if any(vectors[item])]
    return [sum(column) / (len(known) + 1) for column in zip(*known, strict=True)] if known else None


def similarity(partitions: Sequence[Sequence[list[float] | None]], candidate: Sequence[float]) -> list[float]:
    """The scalars of one sample: `partitions` are (disliked, liked) profiles of those closed before, by time."""
    length = math.sqrt(sum(x * x for x in candidate))
    unit = [x / length if length else 0.0 for x in candidate]
    scores = [[None if side is None else sum(a * b for a, b in zip(side, unit, strict=True)) for side in each]
              for each in partitions]  # fmt: skip
    found = []
    for sign in (0, 1):
        real = [each[sign] for each in scores if each[sign] is not None]
        earlier = [each[sign] for each in scores[:-1] if each[sign] is not None]
        last = (scores[-1][sign] or 0.0) if scores else 0.0
        found += [_mean(real), max(real, default=0.0), last, last - _mean(earlier)]
    plain = [[side or 0.0 for side in each] for each in scores]
    recency = [0.5 ** ((len(plain) - 1 - place) / 2) for place in range(len(plain))]
    likeness = [math.exp(10 * max(0.0, *each)) for each in plain]
    for weights in (recency, likeness):
        weighed = sum(w * (each[1] - each[0]) for w, each in zip(weights, plain, strict=True))
        found.append(weighed / sum(weights) if weights else 0.0)
    return [*found, 0.0 if partitions else 1.0]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
