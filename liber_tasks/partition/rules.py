"""When the short-term behaviour cache becomes a partition (paper, section 3.2)."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from liber_tasks.config import Settings, duration
from liber_tasks.errors import InputError

Model = Literal["requested", "drift"]
MODELS: tuple[Model, ...] = ("requested", "drift")
_LONGEST = timedelta(days=36_525)


@dataclass(frozen=True)
class PartitionRule:
    """Partition conditions; whichever holds first closes the partition, None turns one off.

    Attributes:
        k: Len(cache) >= k, the closing behaviour inside (paper, Eq. 1).
        gap: strictly more than this since the last behaviour (a session's end).
        max_age: this or more since the first behaviour of the cache.
        min_events: gap and age hold only once the cache has so many behaviours.
        model: "requested": cut points in `partition_cut` count, whoever wrote them; "drift": besides, our own model
            of interest drift writes its requests there before each seal.

    Raises:
        InputError: a parameter is out of bounds, or no condition is left; names it, its value and the bound.
    """

    k: int | None = 20  # the paper's K (section 4.1.3)
    gap: timedelta | None = None
    max_age: timedelta | None = None
    min_events: int = 1
    model: Model | None = None

    def __post_init__(self) -> None:
        if self.k is not None:
            _whole("k", self.k)
        _whole("min_events", self.min_events)
        for name in ("gap", "max_age"):
            value = getattr(self, name)
            if value is not None and not timedelta(0) < value <= _LONGEST:
                raise InputError(f"{name} == {value}, must be more than 0 and at most {_LONGEST.days} days.")
        if self.model not in (None, *MODELS):
            raise InputError(f"model == {self.model!r}, must be {' or '.join(MODELS)}.")
        if self.k is None and self.gap is None and self.max_age is None and self.model is None:
            raise InputError("No partition condition is on: give k, gap, max_age or model.")
        if self.min_events > 1 and self.gap is None and self.max_age is None:
            raise InputError(f"min_events == {self.min_events}, but it only restrains gap and max_age: give one.")

    @property
    def by_count_alone(self) -> bool:
        """Whether Eq. 1 is the only condition."""
        return self.gap is None and self.max_age is None and self.model is None

    @property
    def digest(self) -> int:
        """What a stream remembers of the rule it was examined under: 63 bits, never 0."""
        described = repr((self.k, self.gap, self.max_age, self.min_events, self.model))
        return int.from_bytes(hashlib.sha256(described.encode()).digest()[:8], "big") >> 1 | 1


def rule_of(
    settings: Settings,
    *,
    k: int | None = None,
    gap: str | None = None,
    max_age: str | None = None,
    min_events: int | None = None,
    model: Model | None = None,
) -> PartitionRule:
    """The rule of the settings, with what is given here in place of theirs; k = 0 turns the count off.

    Args:
        settings: what is not given here.
        k: size of a full cache.
        gap: duration, such as 90s, 30m, 12h or 7d.
        max_age: duration.
        min_events: behaviours that gap and age wait for.
        model: whose cut points count.

    Raises:
        InputError: like PartitionRule, or a duration is none.
    """
    count = settings.partition_k if k is None else k
    return PartitionRule(
        k=count or None,
        gap=_span("gap", gap) or settings.partition_gap,
        max_age=_span("max_age", max_age) or settings.partition_max_age,
        min_events=min_events or settings.partition_min_events,
        model=model or settings.partition_model,
    )


def _span(name: str, text: str | None) -> timedelta | None:
    try:
        return duration(text) if text else None
    except ValueError as error:
        raise InputError(f"{name} is {text!r}: {error}.") from None


def _whole(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name} == {value!r}, must be a whole number.")
    if not 1 <= value <= 2**31 - 1:
        raise InputError(f"{name} == {value}, must be from 1 to {2**31 - 1}.")
