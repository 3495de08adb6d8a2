"""Did a metric that must not suffer stay within its margin? No I/O.

Non-inferiority by the two-sided 95 % interval, which is a one-sided test at 2.5 % (Piaggio et al., JAMA 2012). That a
difference was not shown is no proof of its absence: an experiment too small for its margin says 'undecided'.
"""

from dataclasses import dataclass
from typing import Literal

from liber_tasks.errors import InputError

Verdict = Literal["non-inferior", "inferior", "undecided"]


@dataclass(frozen=True)
class Guardrail:
    """A metric's margin and what its interval says about it."""

    verdict: Verdict
    bound: float  # relative lift that must be excluded: -0.01 where 1 % may be lost, 0.01 where lower is better
    higher_is_better: bool
    reason: str | None = None  # why it is undecided


def judge(interval: tuple[float, float] | None, margin: float, higher_is_better: bool = True) -> Guardrail:
    """Compare an interval of the relative lift with the margin.

    Args:
        interval: low and high end of the lift; a peek-safe one while the experiment runs; None where there is none.
        margin: relative harm that is tolerated, within (0, 1); decided before the start.
        higher_is_better: False for a metric that harms by rising (errors, latency).

    Raises:
        InputError: the margin is out of range.
    """
    if not 0 < margin < 1:
        raise InputError(
            f"The guardrail's margin is {margin}: must lie between 0 and 1 (0.01 tolerates a loss of 1 %)."
        )
    bound = -margin if higher_is_better else margin
    if interval is None:
        return Guardrail("undecided", bound, higher_is_better, "The metric has no interval.")
    low, high = interval
    safe, harmed = (low > bound, high < bound) if higher_is_better else (high < bound, low > bound)
    if safe:
        return Guardrail("non-inferior", bound, higher_is_better)
    if harmed:
        return Guardrail("inferior", bound, higher_is_better)
    reason = f"The interval holds {bound:+.2%}: more users or days would decide."
    return Guardrail("undecided", bound, higher_is_better, reason)
