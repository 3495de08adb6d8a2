"""What a stored readout says, in sentences. Pure functions over `Readout`."""

from datetime import date, timedelta
from typing import Literal, NamedTuple

from liber_tasks.dashboard.words import (
    day,
    interval,
    listed,
    metric,
    sentence,
    share,
)  # fmt: skip
from liber_tasks.experiment.record import Look, Metric, Readout, deciding

Verdict = Literal["better", "worse", "unclear", "mixed", "hidden", "breach"]
HEADLINES: dict[Verdict, str] = {
    "better": "The treatment is better",
    "worse": "The treatment is worse",
    "unclear": "No clear difference",
    "mixed": "Better by one metric, worse by another",
    "hidden": "No decision",
    "breach": "A guardrail is breached",
}
SIGNIFICANT = 0.05
_EXPLAINING = ("time_per_play",)  # of method 1, which told no roles: the paper decides by the other two (Table 5)


class Finding(NamedTuple):
    """What one metric says."""

    direction: Literal["better", "worse"] | None  # None: nothing is clear
    words: str  # "raised play count by 3.0 % (...)", or a whole clause where nothing is clear


def headline(readout: Readout) -> str:
    """The verdict in a few words."""
    verdict, _ = decision(readout)
    return HEADLINES[verdict] + ("" if readout.complete or verdict == "hidden" else " so far")


def primaries(readout: Readout) -> list[Metric]:
    """The metrics that decide, in the order in which they are shown."""
    old = readout.method.get("version") == 1
    return [one for one in ordered(readout) if one.role == "primary" and not (old and one.name in _EXPLAINING)]


def ordered(readout: Readout) -> list[Metric]:
    """All metrics, primary ones first. The database keeps no order of keys: known ones are in the paper's."""
    roles, known = ("primary", "guardrail", "secondary"), ("play_count", "play_time", "time_per_play")
    return sorted(
        readout.metrics.values(),
        key=lambda one: (
            roles.index(one.role), known.index(one.name) if one.name in known else len(known), one.name
        ),
    )  # fmt: skip


def decides(one: Metric) -> str:
    """The method to decide by: the one fixed in advance or, where it has no lift, the same unadjusted."""
    return deciding(one.decides, {name: estimate.lift for name, estimate in one.estimates.items()})


def newest_look(one: Metric) -> Look | None:
    """The newest planned look; None before the first."""
    return next((look for look in reversed(one.looks) if look.planned and look.planned_low is not None), None)


def decision(readout: Readout) -> tuple[Verdict, str]:
    """What a readout says, in a few sentences.

    The primary metrics decide, each by the method fixed in advance: at the end by its p-value, before by the band that
    holds at all planned looks together. A sample ratio mismatch leaves nothing to say; a breached guardrail overrides.
    """
    if not readout.sample_ratio.ok:
        return "hidden", "The arms do not have the users they should have, so every lift is hidden."
    found = [_at_end(one) if readout.complete else _before_end(one) for one in primaries(readout)]
    moved = [one.words for one in found if one.direction]
    same = [one.words for one in found if one.direction is None]
    told = ([f"the treatment {listed(moved)}"] if moved else []) + ([listed(same)] if same else [])
    told = told or ["no primary metric was read"]
    said = ". ".join(sentence(clause) for clause in told) + "."
    if not readout.complete:
        said = f"Not final, the experiment still runs: {said[0].lower()}{said[1:]}"
    if broken := guardrails(readout, "inferior"):
        return "breach", f"{listed(broken)} lost more than allowed: do not ship this. {said}"
    if undecided := guardrails(readout, "undecided"):
        said += f" {listed(undecided)} may still have lost more than allowed."
    directions = {one.direction for one in found if one.direction}
    return ("mixed" if len(directions) == 2 else next(iter(directions), "unclear")), said


def guardrails(readout: Readout, verdict: str) -> list[str]:
    """Names of the guardrails with that verdict."""
    return [metric(one.name) for one in ordered(readout) if one.guardrail and one.guardrail.verdict == verdict]


def _at_end(one: Metric) -> Finding:
    name, best = metric(one.name).lower(), one.best
    if best.lift is None or best.p_value is None:
        return Finding(None, f"{name} cannot be compared")
    if best.p_value >= SIGNIFICANT:
        found = f" (a change of {share(best.mde)} would have been found four times in five)" if best.mde else ""
        return Finding(None, f"{name} shows no clear difference{found}")
    bounds = f"95 % interval {interval(best.lift_low, best.lift_high)}"
    return _moved(one, best.lift, f"{name} by {share(abs(best.lift))} ({bounds})")


def _before_end(one: Metric) -> Finding:
    name, look = metric(one.name).lower(), newest_look(one)
    if look is None or look.planned_low is None or look.planned_high is None or look.lift is None:
        return Finding(None, f"{name} cannot be judged before the first planned look")
    at, band = f"planned look of {look_day(look)}", interval(look.planned_low, look.planned_high)
    if look.planned_low <= 0 <= look.planned_high:
        return Finding(None, f"{name} shows no clear difference at the {at} ({band})")
    return _moved(one, look.lift, f"{name} by {share(abs(look.lift))}, already clear at the {at} ({band})")


def _moved(one: Metric, lift: float, what: str) -> Finding:
    good = (lift > 0) == (one.better == "higher")
    return Finding("better" if good else "worse", f"{'raised' if lift > 0 else 'lowered'} {what}")


def look_day(look: Look) -> str:
    """The last day that a look has read."""
    return day(date.fromisoformat(look.until) - timedelta(days=1))
