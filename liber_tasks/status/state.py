"""The state of the pipeline at a moment, as it is stored and shown. Pure; holds no id and no text of anybody."""

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

MEMORY = ("summary", "shift", "encode")  # the stages between a sealed partition and its vector


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline.

    Attributes:
        stage: its name.
        unit: what it counts.
        done, pending, failed: counts; `failed`: set aside, no run takes it up by itself.
        oldest_pending_at: since when the oldest of what the next run would take up waits; None: nothing does.
    """

    stage: str
    unit: str
    done: int
    pending: int
    failed: int
    oldest_pending_at: datetime | None = None


@dataclass(frozen=True)
class LlmUse:
    """What one knowledge version's calls cost; `calls` with repetitions, `seconds` of answered calls, end to end."""

    knowledge_version: str
    model: str
    calls: int
    done: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float


@dataclass(frozen=True)
class Problem:
    """What went wrong: `source` is ingest, summary, shift or item; `state` is rejected, failed or quarantined."""

    source: str
    state: str
    reason: str
    n: int


@dataclass(frozen=True)
class State:
    """All of it.

    Attributes:
        counted_at: the moment, with time zone.
        seconds: that the counting took.
        stages: in the order of the journey.
        llm: the newest version first.
        problems: the most frequent first.
        newest: when the newest behaviour, partition, text, vector, model and readout were written; None: never, or long
            ago.
    """

    counted_at: datetime
    seconds: float
    stages: tuple[Stage, ...]
    llm: tuple[LlmUse, ...] = ()
    problems: tuple[Problem, ...] = ()
    newest: dict[str, datetime | None] = field(default_factory=dict)

    @property
    def waiting(self) -> timedelta:
        """How long the oldest sealed partition that the platform learns has been without its vector; 0: none is."""
        since = [one.oldest_pending_at for one in self.stages if one.stage in MEMORY and one.oldest_pending_at]
        return self.counted_at - min(since) if since else timedelta(0)

    def failures(self, state: str) -> int:
        """How many rows or calls are in a state of `Problem`."""
        return sum(one.n for one in self.problems if one.state == state)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, moments as ISO 8601."""
        return _written(asdict(self))


def from_dict(stored: dict[str, Any]) -> State:
    """Read what `to_dict` gave; keys of another release are passed over, missing ones get their defaults."""
    return State(
        counted_at=datetime.fromisoformat(stored["counted_at"]),
        seconds=stored["seconds"],
        stages=tuple(_stage(one) for one in stored["stages"]),
        llm=tuple(_only(LlmUse, one) for one in stored.get("llm", ())),
        problems=tuple(_only(Problem, one) for one in stored.get("problems", ())),
        newest={name: _moment(at) for name, at in stored.get("newest", {}).items()},
    )


def cost(uses: tuple[LlmUse, ...], price_in: float | None, price_out: float | None) -> float | None:
    """What tokens cost at prices per million; None: no price is known."""
    if price_in is None and price_out is None:
        return None
    million = 1e6
    return sum(one.prompt_tokens * (price_in or 0) + one.completion_tokens * (price_out or 0) for one in uses) / million


def _stage(stored: dict[str, Any]) -> Stage:
    return _only(Stage, stored | {"oldest_pending_at": _moment(stored.get("oldest_pending_at"))})


def _only(kind: Any, stored: dict[str, Any]) -> Any:
    return kind(**{name: value for name, value in stored.items() if name in kind.__dataclass_fields__})


def _moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _written(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_written(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value
