"""When an experiment is looked at, and what its looks show together: bands that hold at all of them."""

from collections.abc import Sequence
from datetime import date
from functools import cache

from liber_tasks.experiment.effect import log_ratio
from liber_tasks.experiment.metrics import DAY, first_day_from
from liber_tasks.experiment.record import Estimate, Look
from liber_tasks.experiment.sequential import anytime_critical, planned_critical
from liber_tasks.experiment.stored import Experiment


def last_day(experiment: Experiment) -> date:
    """First day that no readout reads, as planned."""
    return first_day_from(experiment.ends_at)


def planned(experiment: Experiment) -> list[date]:
    """Days that the plan looks at, each the first that is not read; the end is always one."""
    first, end, looks = experiment.starts_at.date(), last_day(experiment), experiment.plan.looks
    if looks == "daily":
        return [first + n * DAY for n in range(1, (end - first).days + 1)]
    return sorted({end, *(looks if isinstance(looks, list) else [])})


def look(experiment: Experiment, until: date, users: dict[str, int], estimate: Estimate) -> Look:
    """One look: the lift then, with both bands.

    Args:
        experiment: its planned looks decide the critical values.
        until: first day that was not read.
        users: counted, by arm.
        estimate: by the deciding method.
    """
    days = planned(experiment)
    first, length = experiment.starts_at.date(), (days[-1] - experiment.starts_at.date()).days
    effect, at = log_ratio(estimate), min((until - first).days / length, 1.0)
    band: tuple[float | None, float | None] = (None, None)
    anytime = band
    if effect is not None:
        anytime = effect.interval(anytime_critical(at, 1.0))
        if until in days:
            critical = _critical(tuple((day - first).days / length for day in days))
            band = effect.interval(critical[days.index(until)])
    return Look(until.isoformat(), until in days, users.get("control", 0), users.get("treatment", 0), estimate.lift,
                *band, *anytime)  # fmt: skip


@cache
def _critical(fractions: tuple[float, ...]) -> list[float]:
    """The same for all metrics and days of an experiment."""
    return [float(value) for value in planned_critical(fractions)]


def missed(experiment: Experiment, until: date, read: Sequence[date]) -> list[date]:
    """Planned looks before a day that nobody has taken."""
    return [day for day in planned(experiment) if day < until and day not in read]
