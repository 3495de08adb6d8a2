"""A/A calibration: how often each method finds a difference between two random halves of the same users. No I/O.

Users of both arms are split anew, thousands of times, at the planned share; nothing differs but chance, so 5 % of the
p-values should lie below 0.05 (Kohavi, Tang and Xu, Trustworthy Online Controlled Experiments, 2020, chapter 19). It
answers for these users' heavy tails and this pre-period, which no theorem does.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from liber_tasks.errors import InputError
from liber_tasks.experiment import record
from liber_tasks.experiment.batch import Products, compare
from liber_tasks.experiment.statistics import CAPPED_SHARE, CONFIDENCE, METRICS, Definition, pre

SPLITS = 5_000  # the binomial error of 5 % is then 0.3 percentage points
CHUNK_BYTES = 64 << 20  # memory of one chunk of splits
METHODS = {name: ("cuped" in name, "capped" in name) for name in record.METHODS}  # adjusted by the pre-period, capped


@dataclass(frozen=True)
class Calibration:
    """False positives of one method and metric. Where no split could be tested, `reason` says so."""

    metric: str
    method: str
    splits: int  # tested
    false_positives: int
    rate: float | None = None
    low: float | None = None  # 95 % Wilson interval of the rate
    high: float | None = None
    reason: str | None = None


def capped(values: np.ndarray) -> np.ndarray:
    """Values (n,) beyond the cap brought down to it: an order statistic, PostgreSQL's percentile_disc."""
    return np.minimum(values, np.quantile(values, 1 - CAPPED_SHARE, method="inverted_cdf"))


def calibrate(
    columns: Mapping[str, np.ndarray],
    treatment_share: float,
    *,
    definitions: Sequence[Definition] = METRICS,
    splits: int = SPLITS,
    seed: int = 0,
) -> list[Calibration]:
    """False-positive rate of every method and metric over random splits.

    Args:
        columns: per user of both arms, every numerator and denominator and its pre-period; (n,) each.
        treatment_share: of these users, within (0, 1).
        definitions: the metrics.
        splits: how many.
        seed: decides every split.

    Raises:
        InputError: the share is out of range, there are fewer than 4 users, or columns differ in length.
    """
    users = _checked(columns, treatment_share)
    names = _columns(definitions)
    versions = {capping: _products(columns, names, capping) for capping in (False, True)}
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for treated in assignments(users, treatment_share, splits, seed):
        arms = {capping: products.moments(treated) for capping, products in versions.items()}
        for definition in definitions:
            for method, (adjusted, capping) in METHODS.items():
                lifts = compare(definition, names, *arms[capping], adjusted)
                found.setdefault((definition.name, method), []).append(lifts.p_value)
    return [_calibration(metric, method, np.concatenate(parts)) for (metric, method), parts in found.items()]


def p_values(columns: Mapping[str, np.ndarray], treated: np.ndarray, definition: Definition, method: str) -> np.ndarray:
    """P-value of one metric by one method for each given split; NaN where it is undefined.

    Args:
        columns: as of `calibrate`.
        treated: bool (s, n), who is treated in each split.
        definition: the metric.
        method: one of `METHODS`.
    """
    adjusted, capping = METHODS[method]
    names = _columns([definition])
    return compare(definition, names, *_products(columns, names, capping).moments(treated), adjusted).p_value


def assignments(users: int, treatment_share: float, splits: int, seed: int) -> Iterator[np.ndarray]:
    """Chunks of random splits, bool (some, users): each user is treated with the given probability, as by bucket."""
    rng = np.random.default_rng(seed)
    rows = max(1, CHUNK_BYTES // (8 * users))
    for begin in range(0, splits, rows):
        yield rng.random((min(rows, splits - begin), users), dtype=np.float32) < treatment_share


def _products(columns: Mapping[str, np.ndarray], names: Sequence[str], capping: bool) -> Products:
    return Products([capped(columns[name]) if capping else columns[name] for name in names])


def _columns(definitions: Sequence[Definition]) -> list[str]:
    wanted = [name for one in definitions for name in (one.numerator, one.denominator) if name]
    return sorted({*wanted, *map(pre, wanted)})


def _calibration(metric: str, method: str, p_values: np.ndarray) -> Calibration:
    from scipy.stats import binomtest

    tested = int(np.isfinite(p_values).sum())
    if not tested:
        return Calibration(metric, method, 0, 0, reason="No split has an interval: too few plays, or equal values.")
    positives = int((p_values < 1 - CONFIDENCE).sum())
    band = binomtest(positives, tested).proportion_ci(CONFIDENCE, method="wilson")
    return Calibration(metric, method, tested, positives, positives / tested, float(band.low), float(band.high))


def _checked(columns: Mapping[str, np.ndarray], treatment_share: float) -> int:
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise InputError(f"The columns have {sorted(lengths)} users: all must have the same ones.")
    users = lengths.pop()
    if users < 4:
        raise InputError(f"There are {users} exposed users: a calibration needs at least 4.")
    if not 0 < treatment_share < 1:
        raise InputError(f"treatment_share is {treatment_share}: must lie between 0 and 1.")
    return users
