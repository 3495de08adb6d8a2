"""From the totals of an experiment to its metrics: estimates, looks, segments, novelty, guardrails. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import isfinite
from typing import Any

from liber_tasks.experiment import guardrail, looks, novelty, segments, statistics
from liber_tasks.experiment.plan import Metric as Planned
from liber_tasks.experiment.record import (
    Age,
    Distribution,
    Estimate,
    Guardrail,
    Interaction,
    Look,
    Metric,
    Novelty,
    Readout,
    Segment,
    deciding,
)  # fmt: skip
from liber_tasks.experiment.statistics import ARMS, METRICS, Definition, estimates, hidden
from liber_tasks.experiment.stored import Experiment
from liber_tasks.experiment.totals import Cells, Totals, by_arm

BINS_A_DECADE = 4
BUILT_IN = {one.name: one for one in METRICS}


@dataclass(frozen=True)
class Read:
    """What one readout read.

    Attributes:
        totals: moments of its users.
        ages: rows of `experiment/ages.sql`.
        exposed: [arm, ISO date, users] of the counted users by day of exposure.
        distribution: rows of `experiment/distribution.sql`.
        earlier: records of earlier days, in order.
    """

    totals: Totals
    ages: Sequence[Any]
    exposed: Sequence[Sequence[Any]]
    distribution: Sequence[Any]
    earlier: Sequence[Readout]


@dataclass(frozen=True)
class _Data:
    """Where a metric's numbers come from."""

    definition: Definition
    plain: Cells
    capped: Cells | None
    cap: float | None


def analyse(experiment: Experiment, until: date, read: Read, hide: bool) -> dict[str, Metric]:
    """Every metric of the plan.

    Args:
        experiment: its plan names metrics, methods, looks and segments.
        until: first day that was not read.
        read: the numbers.
        hide: the sample ratio is wrong, no lift may be shown.
    """
    plan = experiment.plan
    found = {}
    for planned in plan.metrics:
        data = _data(planned, [metric.name for metric in plan.own], read.totals)
        metric = Metric(
            planned.name, planned.unit or data.definition.unit, {}, planned.role, planned.better,
            planned.decides or "cuped", data.cap, distribution=_distribution(planned.name, read.distribution),
            formula=data.definition.formula,
        )  # fmt: skip
        if hide:
            reason = "Hidden: the arms do not have the users they should have. Find out what lost users first."
            found[planned.name] = replace(metric, estimates=hidden(reason))
            continue
        found[planned.name] = _shown(
            experiment, until, read, replace(metric, estimates=_estimates(data)), planned, data
        )
    return found if hide else _with_segments(experiment, read, found)


def _shown(experiment: Experiment, until: date, read: Read, metric: Metric, planned: Planned, data: _Data) -> Metric:
    users = {arm: moments.n for arm, moments in by_arm(data.plain).items()}
    taken = [*_taken(metric.name, read.earlier), looks.look(experiment, until, users, metric.best)]
    return replace(
        metric,
        looks=taken,
        guardrail=_guardrail(planned, metric, taken[-1], until >= looks.last_day(experiment)),
        novelty=_novelty(data.definition, read, until),
    )


def _data(planned: Planned, own: list[str], totals: Totals) -> _Data:
    if planned.name in BUILT_IN:
        definition = BUILT_IN[planned.name]
        if definition.numerator not in totals.caps:
            return _Data(definition, totals.plain, None, None)
        cap = totals.caps[definition.numerator]
        shown = cap if isfinite(cap) and definition.denominator is None else None
        return _Data(definition, totals.plain, totals.capped, shown)
    plain, capped, cap = totals.custom[planned.name]
    place = own.index(planned.name) + 1
    return _Data(statistics.custom(planned.name, planned.unit, place), plain, capped, cap if isfinite(cap) else None)


def _estimates(data: _Data) -> dict[str, Estimate]:
    return estimates(data.definition, by_arm(data.plain), None if data.capped is None else by_arm(data.capped))


def _taken(name: str, earlier: Sequence[Readout]) -> list[Look]:
    """The last look of each earlier record, as it was shown then."""
    return [record.metrics[name].looks[-1] for record in earlier
            if name in record.metrics and record.metrics[name].looks]  # fmt: skip


def _guardrail(planned: Planned, metric: Metric, look: Look, over: bool) -> Guardrail | None:
    """By the fixed interval at the end, by the peek-safe one before."""
    if planned.role != "guardrail" or planned.margin is None:
        return None
    best = metric.best
    safe = (look.planned_low, look.planned_high) if look.planned else (look.anytime_low, look.anytime_high)
    low, high = (best.lift_low, best.lift_high) if over else safe
    interval = None if low is None or high is None else (low, high)
    judged = guardrail.judge(interval, planned.margin, planned.better == "higher")
    return Guardrail(planned.margin, judged.verdict, best.reason if interval is None else judged.reason)


def _with_segments(experiment: Experiment, read: Read, metrics: dict[str, Metric]) -> dict[str, Metric]:
    """Segments of the primary metrics, adjusted together."""
    names = list(experiment.plan.segments)
    own = [metric.name for metric in experiment.plan.own]
    asked: list[segments.Segment] = []
    for planned in experiment.plan.primary if names else []:
        data, metric = _data(planned, own, read.totals), metrics[planned.name]
        method = deciding(metric.decides, {name: one.lift for name, one in metric.estimates.items()})
        cells = data.capped if "capped" in method and data.capped is not None else data.plain
        for place, dimension in enumerate(names):
            for value in sorted({segment[place] for _, segment in cells}):
                arms = by_arm(cells, lambda segment, at=place, v=value: segment[at] == v)  # type: ignore[misc]
                estimate = statistics.by_method(data.definition, arms, method)
                users = (arms["control"].n, arms["treatment"].n)
                asked.append(segments.Segment(dimension, value, planned.name, users[0], users[1], estimate))
    for finding in segments.discoveries(asked):
        one = finding.segment
        shown = Estimate(reason=finding.reason) if finding.reason else one.estimate
        metrics[one.metric].segments.append(
            Segment(one.dimension, one.value, one.control_users, one.treatment_users, shown, finding.q_value)
        )
    for test in segments.interactions(asked):
        metrics[test.metric].interactions.append(
            Interaction(test.dimension, test.statistic, test.degrees, test.p_value, test.reason)
        )
    return metrics


def _novelty(definition: Definition, read: Read, until: date) -> Novelty | None:
    """Of sums that are kept by day since exposure: plays and play time."""
    if definition.denominator or not read.ages or definition.numerator not in ("play_count", "play_seconds"):
        return None
    sums = {(row.age, row.arm): row for row in read.ages}
    rows = [
        novelty.AgeSums(
            age, arm == "treatment", _come(read.exposed, arm, age, until),
            getattr(sums.get((age, arm)), definition.numerator, 0.0),
            getattr(sums.get((age, arm)), f"{definition.numerator}_squares", 0.0),
        )
        for age in range(max(age for age, _ in sums) + 1)
        for arm in ARMS
    ]  # fmt: skip
    trend = novelty.trend(rows)
    ages = [
        Age(one.age, one.control_users, one.treatment_users, one.lift, one.lift_low, one.lift_high)
        for one in novelty.by_age(rows)
    ]
    return Novelty(ages, trend.change, trend.p_value, trend.reason)


def _come(exposed: Sequence[Sequence[Any]], arm: str, age: int, until: date) -> int:
    """Users of an arm whose day of that age has been read."""
    return sum(users for of, day, users in exposed if of == arm and (until - date.fromisoformat(day)).days > age)


def _distribution(name: str, rows: Sequence[Any]) -> Distribution | None:
    mine = [row for row in rows if row.metric == name]
    bins = [row.bin for row in mine if row.bin is not None]
    if not bins:
        return None
    places = range(min(bins), max(bins) + 1)
    users = {(row.arm, row.bin): row.users for row in mine}
    counted = {arm: [users.get((arm, None), 0), *(users.get((arm, place), 0) for place in places)] for arm in ARMS}
    edges = [10 ** ((place + 1) / BINS_A_DECADE) for place in places]
    return Distribution(edges, counted["control"], counted["treatment"])
