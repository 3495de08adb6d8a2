"""A relative lift on the scale where it is close to normal: the logarithm of the ratio of the arms' means. No I/O."""

from dataclasses import dataclass
from functools import cache
from math import exp, log1p

from liber_tasks.experiment.record import Estimate
from liber_tasks.experiment.statistics import CONFIDENCE


@dataclass(frozen=True)
class LogRatio:
    """log(treatment / control) and its standard error."""

    value: float
    se: float  # half the fixed-sample interval over the normal quantile: 1.96 se give that interval back exactly

    def interval(self, critical: float) -> tuple[float, float]:
        """Low and high end of the relative lift, `critical` standard errors to each side."""
        half = critical * self.se
        return exp(self.value - half) - 1, exp(self.value + half) - 1


def log_ratio(estimate: Estimate) -> LogRatio | None:
    """The log ratio behind an estimate; None if it has no lift (its `reason` says why)."""
    if estimate.lift is None or estimate.lift_low is None or estimate.lift_high is None:
        return None
    half = (log1p(estimate.lift_high) - log1p(estimate.lift_low)) / 2
    return LogRatio(log1p(estimate.lift), half / normal_quantile((1 + CONFIDENCE) / 2))


@cache
def normal_quantile(probability: float) -> float:
    """Quantile of the standard normal distribution."""
    from scipy.stats import norm

    return float(norm.ppf(probability))
