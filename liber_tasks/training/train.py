"""The comparison of a backbone without and with LIBER's memory (paper, section 4.1)."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from liber_tasks.fusion.model import BACKBONES, Memory, ModelConfig
from liber_tasks.training import registry, tracking
from liber_tasks.training.dataset import FIT, TEST, VALIDATION, Dataset, load
from liber_tasks.training.evaluate import Difference, auc, log_loss, paired_difference, spread
from liber_tasks.training.fit import THREADS, Fitted, Options, fit, predict
from liber_tasks.training.report import TrainReport, Variant
from liber_tasks.types import Progress, silent

MIN_ROWS_WITH_VECTOR = 100  # fewer test rows than this say nothing about an AUC


def train(
    engine: Engine,
    settings: Settings,
    *,
    backbone: str = "din",
    memory: Sequence[Memory] = ("none", "liber"),
    seeds: int = 3,
    register: bool = True,
    run_labels: Mapping[str, str] | None = None,
    progress: Progress = silent,
    options: Options | None = None,
) -> TrainReport:
    """Train, evaluate on the test rows once, track in MLflow, register the model with memory and move its alias.

    A comparison that MLflow already holds for the same samples, backbone and options is returned, not repeated.

    Args:
        engine: LIBER database.
        settings: `train_share`, `model_name`, `mlflow_tracking_uri`.
        backbone: name in `fusion.model.BACKBONES`.
        memory: variants; "liber" needs interest vectors.
        seeds: seeds 0 .. seeds - 1 are run for each variant, paired.
        register: register the "liber" model of the seed with the best validation log loss.
        run_labels: further tags of the MLflow run, e.g. the Airflow run's id.
        progress: counts runs, one a variant and seed.
        options: hyperparameters; None: those of `Options`.

    Raises:
        InputError: nothing to train on, an unknown backbone, or no vectors for "liber"; says what to do.
        ServiceUnavailable: MLflow or the database does not answer.
    """
    options = options or Options()
    _check(backbone, memory, seeds)
    client = tracking.connect(settings)
    dataset = load(engine, settings)
    if "liber" in memory and dataset.version is None:
        raise InputError("There is no interest vector yet: run `liber encode`, or train with `--memory none`.")
    with tracking.mlflow_errors(settings.require("mlflow_tracking_uri")):
        experiment = tracking.experiment_id(client)
        params = {"backbone": backbone, "memory": list(memory), "seeds": seeds, "register": register,
                  "model_name": settings.model_name, "max_history": dataset.max_history,
                  "max_partitions": dataset.max_partitions, **options.to_dict()}  # fmt: skip
        fingerprint = hashlib.sha256(json.dumps([dataset.digest, params], sort_keys=True).encode()).hexdigest()
        earlier = tracking.finished(client, experiment, fingerprint)
        if earlier is not None:
            return replace(earlier, reused=True)
        tags = {**_versions(dataset), **(run_labels or {})}
        run_id = tracking.start(
            client, experiment, f"{backbone} {'/'.join(memory)}", {**tags, tracking.FINGERPRINT: fingerprint}, params
        )
        try:
            report = _compare(client, settings, dataset, options, params, experiment, run_id, progress)
            report = replace(report, fingerprint=fingerprint)
            tracking.finish(client, report)
        except BaseException:
            tracking.fail(client, run_id)
            raise
    return report


def _check(backbone: str, memory: Sequence[str], seeds: int) -> None:
    if backbone not in BACKBONES:
        raise InputError(f"There is no backbone {backbone!r}: choose one of {', '.join(sorted(BACKBONES))}.")
    if not memory or set(memory) - {"none", "liber"} or len(set(memory)) < len(memory):
        raise InputError(f"The memory variants are {list(memory)}: give 'none', 'liber' or both, each once.")
    if seeds < 1:
        raise InputError(f"seeds is {seeds}: it must be at least 1.")


def _compare(
    client: Any, settings: Settings, dataset: Dataset, options: Options, params: dict[str, Any],
    experiment: str, run_id: str, progress: Progress,
) -> TrainReport:  # fmt: skip
    """Every run of the comparison; `params` holds backbone, memory, seeds and register."""
    test = dataset.rows(TEST)
    label = dataset.label[test].numpy()
    if auc(label, label) is None:
        raise InputError("All test ratings are of one class: there is no AUC. Load more behaviours.")
    memory: list[Memory] = params["memory"]
    seeds, total = range(params["seeds"]), len(memory) * params["seeds"]
    best: tuple[Fitted, str] | None = None  # of the model with memory, and its run
    fits: dict[str, list[Fitted]] = {name: [] for name in memory}
    probabilities: dict[str, list[np.ndarray]] = {name: [] for name in memory}
    with _threads(THREADS):
        for seed in seeds:
            for name in memory:
                progress(
                    sum(map(len, fits.values())), total, f"training runs (now {params['backbone']}, memory {name})"
                )
                fitted = fit(dataset, _config(params["backbone"], name, dataset, options), options, seed)
                probability = predict(fitted.model, dataset, test, name == "liber")
                scores = {"auc": auc(label, probability) or 0.0, "log_loss": log_loss(label, probability)}
                child = tracking.log_fit(client, experiment, run_id, fitted, params, scores)
                fits[name].append(fitted)
                probabilities[name].append(probability)
                if name == "liber" and (best is None or fitted.validation.log_loss < best[0].validation.log_loss):
                    best = fitted, child
    progress(total, total, "training runs")
    report = summarise(dataset, params["backbone"], fits, probabilities, experiment, run_id)
    if best is None or not params["register"]:
        return report
    version = registry.register(client, settings, best[1], best[0], dataset, _model_tags(report, dataset))
    return replace(
        report,
        model_name=settings.model_name,
        model_version=version,
        model_alias=registry.ALIAS,
        model_seed=best[0].seed,
    )


def summarise(
    dataset: Dataset,
    backbone: str,
    fits: Mapping[str, Sequence[Fitted]],
    probabilities: Mapping[str, Sequence[np.ndarray]],
    experiment: str,
    run_id: str,
) -> TrainReport:
    """The report of finished runs; `probabilities` are of the test rows, by memory and seed."""
    test = dataset.rows(TEST)
    label = dataset.label[test].numpy()
    train_rows = dataset.rows(FIT, VALIDATION)
    with_vector = dataset.with_vector(test).numpy()
    aucs = {name: [auc(label, p) or 0.0 for p in all_seeds] for name, all_seeds in probabilities.items()}
    losses = {name: [log_loss(label, p) for p in all_seeds] for name, all_seeds in probabilities.items()}
    both = {"none", "liber"} <= set(fits)
    return TrainReport(
        backbone=backbone,
        cut=dataset.cut.isoformat(),
        rows_train=len(train_rows),
        rows_validation=len(dataset.rows(VALIDATION)),
        rows_test=len(test),
        train_rows_with_vector=int(dataset.with_vector(train_rows).sum()),
        test_rows_with_vector=int(with_vector.sum()),
        test_users=len(dataset.user[test].unique()),
        seeds=len(next(iter(fits.values()))),
        variants={
            name: Variant(
                spread(aucs[name]),
                spread(losses[name]),
                tuple(f.best_epoch for f in runs),
                tuple(f.seconds for f in runs),
            )
            for name, runs in fits.items()
        },
        auc_difference=paired_difference(aucs["liber"], aucs["none"]) if both else None,
        log_loss_difference=paired_difference(losses["liber"], losses["none"]) if both else None,
        auc_difference_with_vector=_difference_on(with_vector, label, probabilities) if both else None,
        encoder_version=dataset.version.encoder_version if dataset.version else None,
        knowledge_version=dataset.version.knowledge_version if dataset.version else None,
        digest=dataset.digest,
        fingerprint="",
        experiment_id=experiment,
        run_id=run_id,
    )


def _difference_on(
    chosen: np.ndarray, label: np.ndarray, probabilities: Mapping[str, Sequence[np.ndarray]]
) -> Difference | None:
    """AUC difference on the `chosen` test rows; None when they are few or of one class."""
    if chosen.sum() < MIN_ROWS_WITH_VECTOR or auc(label[chosen], label[chosen]) is None:
        return None
    liber, none = ([auc(label[chosen], p[chosen]) or 0.0 for p in probabilities[name]] for name in ("liber", "none"))
    return paired_difference(liber, none)


def _config(backbone: str, memory: Memory, dataset: Dataset, options: Options) -> ModelConfig:
    return ModelConfig(
        backbone=backbone,
        memory=memory,
        vector_size=dataset.vectors.shape[1] if memory == "liber" else 0,
        max_history=dataset.max_history,
        max_partitions=dataset.max_partitions,
        embedding_size=options.embedding_size,
        hidden=options.hidden,
        dropout=options.dropout,
    )


def _versions(dataset: Dataset) -> dict[str, str]:
    tags = {"liber.dataset_digest": dataset.digest, "liber.cut": dataset.cut.isoformat()}
    if dataset.version is None:
        return tags
    return {
        **tags,
        "liber.encoder_version": dataset.version.encoder_version,
        "liber.knowledge_version": dataset.version.knowledge_version,
        "liber.llm_model": dataset.version.model,
        "liber.summary_prompt": dataset.version.summary_prompt,
        "liber.shift_prompt": dataset.version.shift_prompt,
    }


def _model_tags(report: TrainReport, dataset: Dataset) -> dict[str, str]:
    """What a consumer sees on the registered version: versions, and metrics over all seeds."""
    tags = {
        **_versions(dataset),
        "liber.backbone": report.backbone,
        "liber.comparison_run": report.run_id,
        "liber.test_rows": str(report.rows_test),
        "liber.test_auc_mean": f"{report.variants['liber'].auc.mean:.4f}",
        "liber.test_log_loss_mean": f"{report.variants['liber'].log_loss.mean:.4f}",
    }
    if report.auc_difference is not None:
        tags["liber.test_auc_difference_to_backbone"] = f"{report.auc_difference.mean:+.4f}"
    return tags


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """torch with a fixed number of threads, put back afterwards: sums, and so weights, depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
