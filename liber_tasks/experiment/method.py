"""How a readout's numbers were made, in words and formulas that travel with the record."""

from importlib.metadata import version
from typing import Any

from liber_tasks.experiment import statistics
from liber_tasks.experiment.metrics import Window
from liber_tasks.experiment.stored import Experiment

METHOD = 2  # goes up whenever the same rows would give another record


def described(experiment: Experiment, view: Window) -> dict[str, Any]:
    """Formulas, libraries, days and SQL files of a readout."""
    bots = experiment.plan.bots
    return {
        "version": METHOD,
        "libraries": {name: version(name) for name in ("tea-tasting", "scipy", "numpy")},
        "lift": "mean(treatment) / mean(control) - 1 over counted users, days without a play as 0",
        "interval": "95 %, Welch's t, delta method on log(mean(treatment) / mean(control))",
        "p_value": "two-sided Welch's t of mean(treatment) - mean(control)",
        "cuped": "y - theta * (x - mean(x)), x the same metric in the pre-period, theta = cov(x, y) / var(x); "
        "x is 0 for users without a pre-period",
        "capped": f"min(y, c), c the {100 * (1 - statistics.CAPPED_SHARE):.1f}th percentile of both arms together; "
        "x by its own",
        "sample_ratio": f"chi-square over all exposed users; p < {statistics.SRM_THRESHOLD} hides the lifts",
        "mde": f"two-sided, alpha {1 - statistics.CONFIDENCE:.2f}, power {statistics.POWER}",
        "planned_band": "holds at all planned looks together, 95 %: max-|t| boundary C * (t_k / t_K)^(-1/4)",
        "anytime_band": "holds at any number of looks together, 95 %: asymptotic confidence sequence "
        "(Waudby-Smith et al., 2024)",
        "segments": "p adjusted over all segments of all primary metrics (Benjamini and Hochberg); interaction: "
        "Cochran's Q of the log ratios",
        "guardrail": "non-inferior: the 95 % interval lies within the margin",
        "left_out": f"users served both arms; users with a day of more than {bots.plays_per_day} plays or "
        f"{bots.seconds_per_day} seconds",
        "days": [view.first_day.isoformat(), view.until_day.isoformat()],
        "pre_period": [view.pre_day.isoformat(), view.first_day.isoformat()],
        "own_sql": {metric.name: metric.sql for metric in experiment.plan.own},
        "sql": [
            f"sql/queries/experiment/{name}.sql"
            for name in ("materialise_simulated" if experiment.simulated else "materialise_behavior",
                         "fill_user_metric", "moments", "caps", "ages", "distribution")
        ],
    }  # fmt: skip
