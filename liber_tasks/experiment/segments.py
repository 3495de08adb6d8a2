"""Lifts of many segments at once: how many may be chance, and does the lift differ between them? No I/O.

A segment's own p-value says little where there are fifty of them. Benjamini and Hochberg (JRSS B 1995) over all
segments of all deciding metrics bounds the share of false finds among the finds by the level at which q-values are
read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from liber_tasks.experiment.effect import log_ratio
from liber_tasks.experiment.record import Estimate

MINIMUM_USERS = 200  # an arm: with fewer, sums of heavy-tailed plays are too far from normal to be tested


@dataclass(frozen=True)
class Segment:
    """One metric among the users with one value of a dimension."""

    dimension: str  # age, say
    value: str
    metric: str
    control_users: int
    treatment_users: int
    estimate: Estimate


@dataclass(frozen=True)
class Finding:
    """A segment and its adjusted p-value; without one, `reason` says why it was not tested."""

    segment: Segment
    q_value: float | None = None  # smallest false discovery rate at which the segment's lift is still a find
    reason: str | None = None


@dataclass(frozen=True)
class Interaction:
    """Cochran's Q test that the lift of a metric is the same in all segments of a dimension."""

    dimension: str
    metric: str
    segments: int  # tested
    statistic: float | None = None  # chi-square under equal lifts
    degrees: int | None = None
    p_value: float | None = None
    q_value: float | None = None  # adjusted over all interactions that were tested
    reason: str | None = None


def discoveries(segments: Sequence[Segment], minimum: int = MINIMUM_USERS) -> list[Finding]:
    """Adjust the p-values of all segments together; one finding a segment, in their order.

    Args:
        segments: every segment of every deciding metric; all of them, not the promising ones.
        minimum: users per arm under which a segment is named and not tested.
    """
    from scipy.stats import false_discovery_control

    reasons = [_untested(segment, minimum) for segment in segments]
    p_values = [s.estimate.p_value for s, reason in zip(segments, reasons, strict=True) if reason is None]
    adjusted = iter(false_discovery_control(p_values)) if p_values else iter(())
    return [
        Finding(segment, reason=reason) if reason else Finding(segment, float(next(adjusted)))
        for segment, reason in zip(segments, reasons, strict=True)
    ]


def interactions(segments: Iterable[Segment], minimum: int = MINIMUM_USERS) -> list[Interaction]:
    """Test every dimension and metric for a lift that differs between the segments, in order of first appearance.

    Cochran (Biometrics 1954): Q = sum of (l - L)^2 / se^2 over the log ratios l, L their mean weighted by 1 / se^2, is
    chi-square with one degree less than there are segments. Users belong to one segment of a dimension each.
    """
    from scipy.stats import false_discovery_control

    groups: dict[tuple[str, str], list[Segment]] = {}
    for segment in segments:
        groups.setdefault((segment.dimension, segment.metric), []).append(segment)
    tests = [_cochran(dimension, metric, group, minimum) for (dimension, metric), group in groups.items()]
    p_values = [test.p_value for test in tests if test.p_value is not None]
    adjusted = iter(false_discovery_control(p_values)) if p_values else iter(())
    return [
        test if test.p_value is None else Interaction(**{**vars(test), "q_value": float(next(adjusted))})
        for test in tests
    ]


def _cochran(dimension: str, metric: str, group: list[Segment], minimum: int) -> Interaction:
    from scipy.stats import chi2

    effects = [effect for one in group if not _untested(one, minimum) and (effect := log_ratio(one.estimate))]
    if len(effects) < 2:
        reason = f"Fewer than two segments of {dimension} could be tested: there is nothing to compare."
        return Interaction(dimension, metric, len(effects), reason=reason)
    values = np.array([effect.value for effect in effects])
    weights = np.array([effect.se for effect in effects]) ** -2.0
    statistic = float(weights @ (values - np.average(values, weights=weights)) ** 2)
    degrees = len(effects) - 1
    return Interaction(dimension, metric, len(effects), statistic, degrees, float(chi2.sf(statistic, degrees)))


def _untested(segment: Segment, minimum: int) -> str | None:
    """Why a segment is not tested; None if it is."""
    fewest = min(segment.control_users, segment.treatment_users)
    if fewest < minimum:
        return f"{segment.dimension} {segment.value} has an arm of {fewest} users: under {minimum} it is not tested."
    return segment.estimate.reason if segment.estimate.p_value is None else None
