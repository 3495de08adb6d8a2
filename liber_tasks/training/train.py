"""The comparison of a backbone without and with LIBER's memory (paper, section 4.1)."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from liber_tasks.fusion.options import check_options
from liber_tasks.training import processes, registry, tracking
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.evaluate import auc, log_loss
from liber_tasks.training.fit import Fitted, predict
from liber_tasks.training.load import load
from liber_tasks.training.options import Options, options_for
from liber_tasks.training.parts import TEST
from liber_tasks.training.plan import BOTH, LIBER, Memory, Plan, fingerprint, own_folder, versions
from liber_tasks.training.report import TrainReport
from liber_tasks.training.results import model_tags, summarise
from liber_tasks.types import Progress, silent


def train(
    engine: Engine,
    settings: Settings,
    *,
    backbone: str = "din",
    memory: Sequence[Memory] = BOTH,
    options: Sequence[str] = ("pooled",),
    seeds: int = 3,
    training: Options | None = None,
    register: bool = True,
    bundle: bool = False,
    checkpoints: Path | None = None,
    run_labels: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> TrainReport:
    """Train, evaluate on the test rows once, track in MLflow, register the model with memory as challenger.

    A comparison that MLflow already holds for the same samples and parameters is returned, not repeated. Started by
    torchrun, all processes train, the first one reports.

    Args:
        engine: LIBER database.
        settings: `train_share`, `knowledge_version`, `model_name`, `mlflow_tracking_uri`; `database_url` for a bundle.
        backbone: name in `backbones.by_name`.
        memory: variants: "none" is the backbone alone, "liber" reads `options` too.
        options: names in `fusion.options`.
        seeds: seeds 0 .. seeds - 1 are run for each variant, paired.
        training: hyperparameters; None: those of the backbone.
        register: register the "liber" model of the seed with the best validation log loss.
        bundle: it carries the features of all users.
        checkpoints: folder in which unfinished runs are kept: killed, the same call goes on; None: nowhere.
        run_labels: further tags of the MLflow run, e.g. the Airflow run's id.
        progress: told about samples of an epoch, and runs.

    Raises:
        InputError: nothing to train on, an unknown backbone or option, or what an option reads is not there; says
            what to do.
        ServiceUnavailable: MLflow or the database does not answer.
        LiberError: processes see different samples.
    """
    plan = Plan(backbone, tuple(memory), check_options(options), seeds, training or options_for(backbone))
    with processes.group():
        client = tracking.connect(settings) if processes.first() else None
        dataset = load(engine, settings, plan.reads)
        processes.same("samples", dataset.digest)
        plan.check(dataset)
        _check_test(dataset)
        params = {**plan.params(dataset), "register": register, "bundle": bundle, "model_name": settings.model_name}
        found = fingerprint(dataset.digest, params)
        folder = own_folder(checkpoints, found)
        if client is None:
            return _follow(plan, dataset, folder)
        with tracking.mlflow_errors(settings.require("mlflow_tracking_uri")):
            record = _Record(client, tracking.experiment_id(client), "", params, found)
            return _lead(settings, plan, dataset, record, folder, run_labels or {}, progress)


def _check_test(dataset: Dataset) -> None:
    label = dataset.label[dataset.rows(TEST)].numpy()
    if auc(label, label) is None:
        raise InputError("All test ratings are of one class: there is no AUC. Load more behaviours.")


@dataclass(frozen=True)
class _Record:
    """Where a comparison is kept."""

    client: MlflowClient
    experiment: str
    run_id: str
    params: Mapping[str, Any]
    fingerprint: str


def _lead(
    settings: Settings, plan: Plan, dataset: Dataset, record: _Record, folder: Path | None, labels: Mapping[str, str],
    progress: Progress,
) -> TrainReport:  # fmt: skip
    """The first process: everything."""
    client, fingerprint = record.client, record.fingerprint
    earlier = processes.shared(lambda: tracking.finished(client, record.experiment, fingerprint))
    if earlier is not None:
        return replace(earlier, reused=True)
    tags = {**versions(dataset, plan), **labels, tracking.FINGERPRINT: fingerprint}
    name = f"{plan.backbone} {'/'.join(plan.memory)}"
    record = replace(record, run_id=tracking.start(client, record.experiment, name, tags, record.params))
    try:
        report = replace(_compare(settings, plan, dataset, record, folder, progress), fingerprint=fingerprint)
        tracking.finish(client, report)
    except BaseException:
        tracking.fail(client, record.run_id)
        raise
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    return processes.shared(lambda: report)


def _follow(plan: Plan, dataset: Dataset, folder: Path | None) -> TrainReport:
    """Another process: its share of each batch. What `shared` calls is called in the first one only."""
    earlier: TrainReport | None = processes.shared(lambda: None)
    if earlier is not None:
        return replace(earlier, reused=True)
    for _ in plan.fits(dataset, folder, silent):
        pass
    report: Any = processes.shared(lambda: None)
    return report


def _compare(
    settings: Settings, plan: Plan, dataset: Dataset, record: _Record, folder: Path | None, progress: Progress
) -> TrainReport:
    """Every run of the comparison, and the registration."""
    test = dataset.rows(TEST)
    label = dataset.label[test].numpy()
    best: tuple[Fitted, str] | None = None  # of the model with memory, and its run
    fits: dict[str, list[Fitted]] = {name: [] for name in plan.memory}
    probabilities: dict[str, list[np.ndarray]] = {name: [] for name in plan.memory}
    for name, fitted in plan.fits(dataset, folder, progress):
        probability = predict(fitted.model, dataset, test, fitted.config)
        scores = {"auc": auc(label, probability) or 0.0, "log_loss": log_loss(label, probability)}
        run = tracking.log_fit(record.client, record.experiment, record.run_id, name, fitted, record.params, scores)
        fits[name].append(fitted)
        probabilities[name].append(probability)
        if name == LIBER and (best is None or fitted.validation.log_loss < best[0].validation.log_loss):
            best = fitted, run
    report = summarise(dataset, plan, fits, probabilities)
    report = replace(report, experiment_id=record.experiment, run_id=record.run_id)
    if best is None or not record.params["register"]:
        return report
    model, run = best
    tags = model_tags(report, dataset, plan, model)
    version = _left_behind(settings, record) or registry.register(
        record.client, settings, run, model, dataset, tags, record.params["bundle"]
    )
    return replace(
        report,
        model_name=settings.model_name,
        model_version=version,
        model_alias=registry.ALIAS,
        model_seed=model.seed,
    )


def _left_behind(settings: Settings, record: _Record) -> str | None:
    """The version of the same comparison whose process died after it had registered it."""
    unfinished = tracking.unfinished(record.client, record.experiment, record.fingerprint)
    return registry.take_over(record.client, settings, unfinished)
