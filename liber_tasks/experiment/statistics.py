"""The estimates of a readout, from counts, means, variances and covariances only. No I/O.

Lift and interval are tea-tasting's: Welch's t for the difference, the delta method for ratios and for the interval of
the relative lift on the log scale, and CUPED with one coefficient for both arms (Deng et al., WSDM 2013).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from liber_tasks.experiment.moments import Moments
from liber_tasks.experiment.record import METHODS, Estimate, SampleRatio

if TYPE_CHECKING:
    from tea_tasting.aggr import Aggregates

CONFIDENCE = 0.95
POWER = 0.8
SRM_THRESHOLD = 0.001
CAPPED_SHARE = 0.001  # of the users, beyond the cap: the 99.9th percentile
ARMS = ("control", "treatment")


@dataclass(frozen=True)
class Definition:
    """A metric as a ratio of per-user columns; without `denominator` it is a mean per user."""

    name: str
    unit: str
    numerator: str
    denominator: str | None = None

    @property
    def columns(self) -> list[str]:
        """Those of the days read and of the pre-period."""
        own = [self.numerator] + ([self.denominator] if self.denominator else [])
        return own + [pre(column) for column in own]

    @property
    def formula(self) -> str:
        """How a user counts."""
        over = f"sum({self.denominator})" if self.denominator else "users"
        return f"sum({self.numerator}) / {over}"

    def estimator(self, adjusted: bool, ratio: float = 1.0) -> Any:
        """tea-tasting's metric, with every default spelt out; `ratio`: treated users per control user."""
        from tea_tasting.metrics import RatioOfMeans

        return RatioOfMeans(
            self.numerator,
            self.denominator,
            pre(self.numerator) if adjusted else None,
            pre(self.denominator) if adjusted and self.denominator else None,
            alternative="two-sided",
            confidence_level=CONFIDENCE,
            equal_var=False,
            use_t=True,
            alpha=1 - CONFIDENCE,
            power=POWER,
            ratio=ratio,
        )


METRICS = (
    Definition("play_count", "plays", "play_count"),
    Definition("play_time", "seconds", "play_seconds"),
    Definition("time_per_play", "seconds a play", "play_seconds", "play_count"),
    Definition("active_days", "days", "active_days"),
)


def custom(name: str, unit: str | None, place: int) -> Definition:
    """The experiment's own metric: the `place`-th, from 1, of `liber.user_metric.custom`."""
    return Definition(name, unit or "", f"custom_{place}")


def pre(column: str) -> str:
    """The pre-period's column."""
    return f"pre_{column}"


def sample_ratio(
    control: int, treatment: int, control_share: float, treatment_share: float, causes: Mapping[str, bool] | None = None
) -> SampleRatio:
    """Chi-square test of the users per arm against the shares (Fabijan et al., KDD 2019).

    `causes`: likely causes of a mismatch, and which of them the data show.
    """
    from scipy.stats import chisquare

    total = control + treatment
    expected = treatment_share / (control_share + treatment_share)
    test = chisquare([control, treatment], [total * (1 - expected), total * expected])
    seen = sorted((causes or {}).items(), key=lambda cause: not cause[1])
    found = SampleRatio(expected, treatment / total, float(test.statistic), float(test.pvalue), SRM_THRESHOLD)
    return found if found.ok else SampleRatio(**vars(found) | {"causes": [cause for cause, _ in seen]})


def estimates(
    definition: Definition, plain: Mapping[str, Moments], capped: Mapping[str, Moments] | None
) -> dict[str, Estimate]:
    """One metric by every method (`record.METHODS`).

    Args:
        definition: names the columns.
        plain, capped: moments of each arm's users; capped None: the metric has no cap.
    """
    raw, adjusted = raw_and_adjusted(definition, plain)
    if capped is None:
        none = Estimate(reason="This metric is bounded: there is nothing to cap.")
        return dict(zip(METHODS, (raw, adjusted, none, none), strict=True))
    return dict(zip(METHODS, (raw, adjusted, *raw_and_adjusted(definition, capped)), strict=True))


def by_method(definition: Definition, arms: Mapping[str, Moments], method: str) -> Estimate:
    """One metric by one method, of arms capped already where it caps; an adjusted one gives way to the unadjusted."""
    raw, adjusted = raw_and_adjusted(definition, arms)
    return adjusted if "cuped" in method and adjusted.lift is not None else raw


def hidden(reason: str) -> dict[str, Estimate]:
    """Estimates of which no number may be shown."""
    return dict.fromkeys(METHODS, Estimate(reason=reason))


def raw_and_adjusted(definition: Definition, arms: Mapping[str, Moments]) -> tuple[Estimate, Estimate]:
    """One metric raw and by CUPED, from the moments of each arm's users."""
    for arm in ARMS:
        if arms[arm].n < 2:
            few = Estimate(reason=f"The {arm} arm has {arms[arm].n} users here: a comparison needs at least 2.")
            return few, few
    control, treatment = (arms[arm].aggregates() for arm in ARMS)
    raw = _estimate(definition, control, treatment, adjusted=False)
    if raw.lift is None:
        return raw, Estimate(reason=raw.reason)
    missing = _no_covariate(definition, control, treatment)
    if missing:
        return raw, Estimate(reason=missing)
    return raw, _estimate(definition, control, treatment, adjusted=True)


def _no_covariate(definition: Definition, control: "Aggregates", treatment: "Aggregates") -> str | None:
    """Why the pre-period cannot adjust this metric; None if it can."""
    total = control + treatment
    numerator = pre(definition.numerator)
    if total.mean(numerator) == 0:
        return "No exposed user was active in the pre-period: there is nothing to adjust by."
    denominator = pre(definition.denominator) if definition.denominator else None
    if denominator and min(control.mean(denominator), treatment.mean(denominator)) == 0:
        return "No user of one arm played in the pre-period: its ratio is undefined."
    level = total.mean(numerator) / total.mean(denominator)
    if total.ratio_var(numerator, denominator) <= 1e-12 * level**2:
        return "The pre-period is the same for every user: there is nothing to adjust by."
    return None


def _estimate(definition: Definition, control: "Aggregates", treatment: "Aggregates", adjusted: bool) -> Estimate:
    for arm, values in (("control", control), ("treatment", treatment)):
        if values.mean(definition.numerator) <= 0 or (
            definition.denominator and values.mean(definition.denominator) <= 0
        ):
            return Estimate(reason=f"The mean of the {arm} arm is not positive: a relative lift is undefined.")
    metric = definition.estimator(adjusted, treatment.count() / control.count())
    if min(values.ratio_var(definition.numerator, definition.denominator) for values in (control, treatment)) <= 0:
        return Estimate(reason="Every user of an arm has the same value: an interval is undefined.")
    result = metric.analyze_aggregates(control, treatment)
    if result.control <= 0 or result.treatment <= 0 or not all(isfinite(value) for value in result):
        return Estimate(reason="The adjusted means are not positive: a relative lift is undefined.")
    shown = result.pvalue < 1 - CONFIDENCE
    return Estimate(
        control=float(result.control),
        treatment=float(result.treatment),
        lift=float(result.rel_effect_size),
        lift_low=float(result.rel_effect_size_ci_lower),
        lift_high=float(result.rel_effect_size_ci_upper),
        p_value=float(result.pvalue),
        mde=None if shown else float(metric.solve_power_from_aggregates(control + treatment)[0].rel_effect_size),
    )
