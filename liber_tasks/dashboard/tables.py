"""A readout as rows: for tables, charts and the CSV file. Pure functions; lifts are shares, not per cents."""

from typing import Any

from liber_tasks.dashboard import verdicts, words
from liber_tasks.experiment.record import METHODS, Estimate, Metric, Readout

Row = dict[str, Any]
FIELDS = ("control", "treatment", "lift", "lift_low", "lift_high", "p_value", "mde", "reason")


def estimates(readout: Readout) -> list[Row]:
    """One row a metric and method, primary metrics first; `decides` marks the method to decide by.

    A sample ratio mismatch hides every number, whatever the record holds.
    """
    planted = readout.planted or {}
    return [
        {
            "metric": words.metric(one.name),
            "method": words.method(method),
            "role": one.role,
            "unit": one.unit,
            **_numbers(
                one.estimates[method] if readout.sample_ratio.ok else Estimate(reason=one.estimates[method].reason)
            ),
            "decides": method == verdicts.decides(one),
            "planted": planted.get(one.name),
            "margin": _margin(one),
        }
        for one in verdicts.ordered(readout)
        for method in METHODS
        if method in one.estimates
    ]


def _numbers(estimate: Estimate) -> Row:
    return {field: getattr(estimate, field) for field in FIELDS}


def _margin(one: Metric) -> float | None:
    """The lift at which a guardrail has lost what it may."""
    if one.guardrail is None:
        return None
    return -one.guardrail.margin if one.better == "higher" else one.guardrail.margin


def looks(one: Metric) -> list[Row]:
    """One row a look, oldest first."""
    fields = ("planned", "control", "treatment", "lift", "planned_low", "planned_high", "anytime_low", "anytime_high")
    return [{"until": look.until, **{field: getattr(look, field) for field in fields}} for look in one.looks]


def segments(one: Metric, dimension: str) -> list[Row]:
    """One row a value of a dimension."""
    return [
        {
            "value": each.value,
            "users": each.control + each.treatment,
            **_numbers(each.estimate),
            "p_adjusted": each.p_adjusted,
        }
        for each in one.segments
        if each.dimension == dimension
    ]


def dimensions(one: Metric) -> list[str]:
    """The dimensions a metric was split by."""
    return list(dict.fromkeys(each.dimension for each in one.segments))


def ages(one: Metric) -> list[Row]:
    """One row a day since exposure."""
    fields = ("day", "control", "treatment", "lift", "lift_low", "lift_high")
    return [{field: getattr(each, field) for field in fields} for each in (one.novelty.ages if one.novelty else [])]


def bins(one: Metric) -> list[Row]:
    """One row an arm and bin above zero: its ends, and the share of the arm's users in it."""
    found = one.distribution
    if found is None or len(found.edges) < 2 or found.edges[0] <= 0:
        return []
    first = found.edges[0] ** 2 / found.edges[1]  # bins are even in the logarithm
    ends = [first, *found.edges]
    return [
        {"arm": name, "low": ends[number], "high": ends[number + 1], "share": n / max(sum(counts), 1)}
        for name, counts in ((words.ARM_NAMES[arm], getattr(found, arm)) for arm in words.ARM_NAMES)
        for number, n in enumerate(counts[1:])
    ]


def zeros(one: Metric) -> dict[str, float]:
    """Share of users with 0, by arm."""
    found = one.distribution
    if found is None:
        return {}
    arms = {"control": found.control, "treatment": found.treatment}
    return {arm: counts[0] / max(sum(counts), 1) for arm, counts in arms.items() if counts}
