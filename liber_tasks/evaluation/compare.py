"""Rows of a report from predictions: how good each arm is, and how sure each difference. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from liber_tasks.training.evaluate import auc, log_loss, paired_difference, spread
from liber_tasks.training.significance import user_bootstrap

MIN_ROWS = 100  # fewer test rows than this say nothing about an AUC
DRAWS = 2000


@dataclass(frozen=True)
class Truth:
    """The test samples: n of them.

    Attributes:
        label: (n,) 0 or 1.
        user: (n,) whose sample it is.
        with_vector: (n,) bool, whether a partition vector was there to be read.
    """

    label: np.ndarray
    user: np.ndarray
    with_vector: np.ndarray


@dataclass(frozen=True)
class Lift:
    """How much more AUC one arm has than another.

    Attributes:
        lift: AUC difference, mean over seeds.
        low, high: 95 % interval over draws of users; None: one class only.
        p: of the paired t test over seeds; None: one seed, or no variation at all.
    """

    lift: float
    low: float | None
    high: float | None
    p: float | None


@dataclass(frozen=True)
class Comparison:
    """One arm against another, on all test rows and on those with a vector."""

    backbone: str
    variant: str
    against: str
    lift: float
    low: float | None
    high: float | None
    p: float | None
    auc_improvement: float  # relative, as in the paper's Table 2
    logloss_improvement: float  # relative; positive: smaller loss
    logloss_p: float | None
    with_vector: Lift | None  # None: fewer than `MIN_ROWS` rows, or of one class


@dataclass(frozen=True)
class Row:
    """An arm of a study; numbers are None when it could not be trained, and `note` says why.

    `lift` and what follows it are against `against`, the arm's first pair; None for a base.
    """

    backbone: str
    variant: str
    auc: float | None
    auc_sd: float | None
    logloss: float | None
    logloss_sd: float | None
    seeds: int
    against: str | None = None
    lift: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    auc_improvement: float | None = None
    logloss_improvement: float | None = None
    logloss_p: float | None = None
    with_vector: Lift | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)


def row(backbone: str, variant: str, truth: Truth, scores: np.ndarray, first: Comparison | None) -> Row:
    """An arm's row; `scores` (S, n) are its probabilities, a seed a row, and `first` its first comparison."""
    aucs, losses = _aucs(truth.label, scores), spread([log_loss(truth.label, each) for each in scores])
    of_auc = spread(aucs)
    shared = ("against", "lift", "low", "high", "p", "auc_improvement", "logloss_improvement", "logloss_p",
              "with_vector")  # fmt: skip
    return Row(
        backbone, variant, of_auc.mean, of_auc.sd, losses.mean, losses.sd, len(scores),
        **{name: getattr(first, name) for name in shared} if first else {},
    )  # fmt: skip


def compare(
    backbone: str, variant: str, against: str, truth: Truth, treated: np.ndarray, base: np.ndarray, draws: int = DRAWS
) -> Comparison:
    """`variant` against `against`, seed by seed; `treated` and `base` (S, n) are their probabilities."""
    whole = lift(truth.label, truth.user, treated, base, draws)
    chosen = truth.with_vector
    enough = chosen.sum() >= MIN_ROWS and 0 < truth.label[chosen].sum() < chosen.sum()
    losses = [[log_loss(truth.label, each) for each in scores] for scores in (treated, base)]
    before, loss_before = np.mean(_aucs(truth.label, base)), np.mean(losses[1])
    return Comparison(
        backbone, variant, against, **asdict(whole),
        auc_improvement=float(whole.lift / before) if before else 0.0,
        logloss_improvement=float((loss_before - np.mean(losses[0])) / loss_before) if loss_before else 0.0,
        logloss_p=paired_difference(losses[0], losses[1]).p,
        with_vector=lift(truth.label[chosen], truth.user[chosen], treated[:, chosen], base[:, chosen], draws)
        if enough else None,
    )  # fmt: skip


def lift(label: np.ndarray, user: np.ndarray, treated: np.ndarray, base: np.ndarray, draws: int = DRAWS) -> Lift:
    """The AUC difference of (S, n) scores on n rows, with its interval over users and its test over seeds."""
    over_seeds = paired_difference(_aucs(label, treated), _aucs(label, base))
    over_users = user_bootstrap(label, user, treated, base, draws=draws)
    low, high = (over_users.low, over_users.high) if over_users else (None, None)
    return Lift(over_seeds.mean, low, high, over_seeds.p)


def find(comparisons: Sequence[Comparison], backbone: str, variant: str, against: str) -> Comparison | None:
    """The comparison of a pair; None: one of the two could not be trained."""
    wanted = (backbone, variant, against)
    return next((each for each in comparisons if (each.backbone, each.variant, each.against) == wanted), None)


def _aucs(label: np.ndarray, scores: np.ndarray) -> list[float]:
    """AUC of each seed; 0.5 where there is one class only."""
    found = [auc(label, each) for each in scores]
    return [0.5 if each is None else each for each in found]
