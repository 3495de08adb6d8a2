"""Algorithm 1 in plain Python, one behaviour at a time: what the SQL must agree with. Times are epoch seconds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf


@dataclass(frozen=True)
class Event:
    """A behaviour of one user."""

    event_id: str
    time: int


@dataclass(frozen=True)
class Rule:
    """Conditions; None is off."""

    k: int | None = None
    gap: int | None = None
    max_age: int | None = None
    min_events: int = 1
    model: bool = False


@dataclass(frozen=True)
class Partition:
    """What was sealed, why and when."""

    members: tuple[str, ...]  # event ids in order
    reason: str
    sealed_at: int


@dataclass
class Stream:
    """One user's behaviours in arrival order, with effective times, and the partitions sealed so far."""

    arrived: list[tuple[Event, int]] = field(default_factory=list)
    partitions: list[Partition] = field(default_factory=list)
    cuts: dict[int, int] = field(default_factory=dict)  # position decided at -> position that closes; from 1
    duplicates: int = 0

    @property
    def sealed(self) -> int:
        """Behaviours in partitions."""
        return sum(len(partition.members) for partition in self.partitions)

    def arrive(self, batch: Iterable[Event]) -> None:
        """A batch joins: first one of each event id, in the order (time, event id), clamped to the clock."""
        seen = {event.event_id for event, _ in self.arrived}
        fresh = []
        for event in batch:
            if event.event_id in seen:
                self.duplicates += 1
            else:
                seen.add(event.event_id)
                fresh.append(event)
        for event in sorted(fresh, key=lambda event: (event.time, event.event_id.encode())):
            clock = self.arrived[-1][1] if self.arrived else event.time
            self.arrived.append((event, max(event.time, clock)))

    def seal(self, rule: Rule, watermark: int) -> None:
        """Whatever the rule closes, up to the watermark, becomes partitions."""
        cache: list[tuple[str, int]] = []
        for position, (event, time) in enumerate(self.arrived, start=1):
            if position <= self.sealed or time > watermark:
                continue
            gap, age = _deadlines(cache, rule)
            if time > gap or time >= age:
                self._close(cache, gap, age)
            cache.append((event.event_id, time))
            if rule.k is not None and len(cache) >= rule.k:
                self._keep(cache, len(cache), "count", time)
            cut = self.cuts.get(position, 0) if rule.model else 0
            if cut > self.sealed:
                self._keep(cache, cut - self.sealed, "model", time)
        gap, age = _deadlines(cache, rule)
        if watermark > gap or watermark >= age:
            self._close(cache, gap, age)

    def _close(self, cache: list[tuple[str, int]], gap: float, age: float) -> None:
        deadline = max(min(gap, age), cache[-1][1])
        self._keep(cache, len(cache), "gap" if gap <= age else "age", int(deadline))

    def _keep(self, cache: list[tuple[str, int]], n: int, reason: str, sealed_at: int) -> None:
        self.partitions.append(Partition(tuple(name for name, _ in cache[:n]), reason, sealed_at))
        del cache[:n]


def _deadlines(cache: list[tuple[str, int]], rule: Rule) -> tuple[float, float]:
    """When inactivity and age are due: after the first, at the second. Never, while the cache is too short."""
    if not cache or len(cache) < rule.min_events:
        return inf, inf
    gap = inf if rule.gap is None else cache[-1][1] + rule.gap
    age = inf if rule.max_age is None else cache[0][1] + rule.max_age
    return gap, age


def replay(batches: Sequence[Iterable[Event]], rule: Rule, watermark: int) -> Stream:
    """The stream after all batches arrived and were sealed once."""
    stream = Stream()
    for batch in batches:
        stream.arrive(batch)
    stream.seal(rule, watermark)
    return stream
