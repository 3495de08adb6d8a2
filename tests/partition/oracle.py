"""Algorithm 1 in plain Python, one event at a time: what the SQL must agree with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Event:
    """A behaviour of one user; `time` in epoch seconds."""

    event_id: str
    time: int


@dataclass
class Stream:
    """One user's behaviours: (event, effective time) in arrival order, and the partitions sealed so far."""

    k: int
    arrived: list[tuple[Event, int]] = field(default_factory=list)
    partitions: list[list[str]] = field(default_factory=list)  # event ids
    sealed_at: list[int] = field(default_factory=list)
    duplicates: int = 0

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

    def seal(self, watermark: int) -> None:
        """Every full cache that the watermark lets through becomes a partition."""
        cache: list[str] = []
        for event, effective in self.arrived[sum(map(len, self.partitions)) :]:
            if effective > watermark:
                break
            cache.append(event.event_id)
            if len(cache) == self.k:
                self.partitions.append(cache)
                self.sealed_at.append(effective)
                cache = []

    @property
    def cached(self) -> int:
        """Behaviours in the cache."""
        return len(self.arrived) - sum(map(len, self.partitions))


def replay(batches: Sequence[Iterable[Event]], k: int, watermark: int) -> Stream:
    """The stream after all batches arrived and were sealed once."""
    stream = Stream(k)
    for batch in batches:
        stream.arrive(batch)
    stream.seal(watermark)
    return stream
