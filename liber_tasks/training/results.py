"""From predictions to the report, and to what a consumer sees on the registered version."""

from collections.abc import Mapping, Sequence

import numpy as np

from liber_tasks.training.dataset import Dataset
from liber_tasks.training.evaluate import Difference, auc, log_loss, paired_difference, spread
from liber_tasks.training.fit import Fitted
from liber_tasks.training.parts import FIT, TEST, VALIDATION
from liber_tasks.training.plan import LIBER, NONE, Plan, versions
from liber_tasks.training.report import TrainReport, Variant
from liber_tasks.training.significance import user_bootstrap

COMPARISON_RUN = "liber.comparison_run"  # tag of a registered version: the run whose models it is the best of

MIN_ROWS_WITH_VECTOR = 100  # fewer test rows than this say nothing about an AUC


def summarise(
    dataset: Dataset,
    plan: Plan,
    fits: Mapping[str, Sequence[Fitted]],
    probabilities: Mapping[str, Sequence[np.ndarray]],
) -> TrainReport:
    """The report of finished runs, without its place in MLflow.

    Args:
        dataset: samples.
        plan: what was trained.
        fits: models, by memory and seed.
        probabilities: of the test rows, likewise.
    """
    test, train_rows = dataset.rows(TEST), dataset.rows(FIT, VALIDATION)
    label = dataset.label[test].numpy()
    with_vector = dataset.with_vector(test).numpy()
    aucs = {name: [auc(label, p) or 0.0 for p in all_seeds] for name, all_seeds in probabilities.items()}
    losses = {name: [log_loss(label, p) for p in all_seeds] for name, all_seeds in probabilities.items()}
    both = {NONE, LIBER} <= set(fits)
    version = dataset.version if plan.reads_vectors else None
    return TrainReport(
        backbone=plan.backbone,
        options=plan.options if LIBER in plan.memory else (),
        training=plan.training.to_dict(),
        cut=dataset.cut.isoformat(),
        rows_train=len(train_rows),
        rows_validation=len(dataset.rows(VALIDATION)),
        rows_test=len(test),
        train_rows_with_vector=int(dataset.with_vector(train_rows).sum()),
        test_rows_with_vector=int(with_vector.sum()),
        test_users=len(dataset.user[test].unique()),
        seeds=plan.seeds,
        variants={
            name: Variant(
                spread(aucs[name]),
                spread(losses[name]),
                tuple(f.best_epoch for f in runs),
                tuple(f.seconds for f in runs),
            )
            for name, runs in fits.items()
        },
        auc_difference=paired_difference(aucs[LIBER], aucs[NONE]) if both else None,
        auc_interval=user_bootstrap(
            label, dataset.user[test].numpy(), np.stack(probabilities[LIBER]), np.stack(probabilities[NONE])
        ) if both else None,
        log_loss_difference=paired_difference(losses[LIBER], losses[NONE]) if both else None,
        auc_difference_with_vector=_difference_on(with_vector, label, probabilities) if both else None,
        encoder_version=version.encoder_version if version else None,
        knowledge_version=version.knowledge_version if version else None,
        item_versions=dataset.item_versions,
        digest=dataset.digest,
        fingerprint="",
        experiment_id="",
        run_id="",
    )  # fmt: skip


def model_tags(report: TrainReport, dataset: Dataset, plan: Plan, model: Fitted) -> dict[str, str]:
    """Tags of the registered version: versions, metrics over all seeds, and the kept model's own on validation.

    A value that starts with a number is shown first where a person decides on it (`serving.promotion`).
    """
    variant = report.variants[LIBER]
    tags = {
        **versions(dataset, plan),
        "liber.backbone": report.backbone,
        "liber.options": ", ".join(report.options),
        COMPARISON_RUN: report.run_id,
        "liber.seeds": str(report.seeds),
        "liber.test_rows": str(report.rows_test),
        "liber.test_auc_mean": f"{variant.auc.mean:.4f}",
        "liber.test_log_loss_mean": f"{variant.log_loss.mean:.4f}",
        "liber.validation_log_loss": f"{model.validation.log_loss:.4f}",
    }
    if variant.auc.sd is not None:
        tags["liber.test_auc_sd"] = f"{variant.auc.sd:.4f}"
    if model.validation.auc is not None:
        tags["liber.validation_auc"] = f"{model.validation.auc:.4f}"
    if report.auc_difference is not None:
        interval = report.auc_interval
        over_users = f" [{interval.low:+.4f}, {interval.high:+.4f}]" if interval else ""
        tags["liber.test_auc_difference_to_backbone"] = f"{report.auc_difference.mean:+.4f}{over_users}"
        if report.auc_difference.p is not None:
            tags["liber.test_auc_difference_p"] = f"{report.auc_difference.p:.4f}"
    return tags


def _difference_on(
    chosen: np.ndarray, label: np.ndarray, probabilities: Mapping[str, Sequence[np.ndarray]]
) -> Difference | None:
    """AUC difference on the `chosen` test rows; None when they are few or of one class."""
    if chosen.sum() < MIN_ROWS_WITH_VECTOR or auc(label[chosen], label[chosen]) is None:
        return None
    liber, none = ([auc(label[chosen], p[chosen]) or 0.0 for p in probabilities[name]] for name in (LIBER, NONE))
    return paired_difference(liber, none)
