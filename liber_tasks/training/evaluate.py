"""How good predictions are, and how sure a difference is. Pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.metrics import log_loss as _log_loss
from sklearn.metrics import roc_auc_score


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over seeds; `sd` is None for a single seed."""

    mean: float
    sd: float | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class Difference:
    """Paired difference over seeds. `p` is of the two-sided paired t test: seed noise only, not that of users."""

    mean: float
    sd: float | None
    p: float | None  # None: one seed, or no variation at all
    values: tuple[float, ...]


def auc(label: np.ndarray, probability: np.ndarray) -> float | None:
    """Area under the ROC curve; None when there is one class only."""
    if len(np.unique(label)) < 2:
        return None
    return float(roc_auc_score(label, probability))


def log_loss(label: np.ndarray, probability: np.ndarray) -> float:
    """Mean negative log likelihood in nats."""
    return float(_log_loss(label, np.asarray(probability, dtype=np.float64), labels=[0, 1]))


def spread(values: Sequence[float]) -> Spread:
    """Mean and spread over seeds."""
    return Spread(float(np.mean(values)), _sd(values), tuple(map(float, values)))


def paired_difference(treated: Sequence[float], base: Sequence[float]) -> Difference:
    """`treated` - `base`, value by value of the same seed."""
    differences = np.subtract(treated, base)
    sd = _sd(differences)
    p = float(stats.ttest_rel(treated, base).pvalue) if sd else None
    return Difference(
        float(np.mean(differences)), sd, p if p is None or math.isfinite(p) else None, tuple(map(float, differences))
    )


def _sd(values: Sequence[float] | np.ndarray) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
