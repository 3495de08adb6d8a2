"""Where an experiment stands: planned, running, finished, archived; and how fresh its readout is. Pure functions."""

from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from liber_tasks.dashboard.words import age, day

STALE = timedelta(hours=36)  # a daily readout has failed once, and had half a day to be repeated
Stage = Literal["planned", "running", "finished", "archived"]


class State(NamedTuple):
    """Where an experiment stands at a moment."""

    stage: Stage
    words: str


def state(row: dict[str, Any], now: datetime) -> State:
    """State of an experiment.

    Args:
        row: `starts_at`, `ends_at`; where they are there, `archived_at` and `stopped_at`. With time zones.
        now: the moment, with time zone.
    """
    starts, ends = row["starts_at"], row["ends_at"]
    archived, stopped = row.get("archived_at"), row.get("stopped_at")
    if archived and archived <= now:
        return State("archived", f"archived on {day(archived)}")
    if stopped and stopped <= now:
        return State("finished", f"stopped on {day(stopped)}")
    if now < starts:
        return State("planned", f"planned, starts on {day(starts)}")
    if now >= ends:
        return State("finished", f"finished on {day(ends - timedelta(microseconds=1))}")  # the end is exclusive
    days = max(1, -(-(ends - starts) // timedelta(days=1)))
    return State("running", f"running, day {(now - starts) // timedelta(days=1) + 1} of {days}")


def freshness(stage: Stage, read_at: datetime | None, now: datetime) -> tuple[bool, str]:
    """Whether the newest readout is too old for a running experiment, and when it was made."""
    if read_at is None:
        return stage in ("running", "finished"), "not read yet"
    late = stage == "running" and now - read_at > STALE
    return late, f"read {age(now - read_at)}"
