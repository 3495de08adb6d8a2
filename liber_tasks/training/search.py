"""Grid search over hyperparameters: candidates are trained and compared on the validation tail, never on test rows."""

import itertools
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError
from liber_tasks.fusion.options import check_options
from liber_tasks.training import tracking
from liber_tasks.training.load import load
from liber_tasks.training.options import Options, options_for
from liber_tasks.training.plan import BOTH, Memory, Plan, fingerprint, own_folder, versions
from liber_tasks.types import Progress, silent

MAX_CANDIDATES = 256
CANDIDATE = "candidate"  # parameter of its run: the hyperparameters it changes, as JSON
SCORE = "validation_log_loss"

_POSITIVE = (lambda value: value > 0, "above 0")
_SHARE = (lambda value: 0 <= value < 1, "from 0 to below 1")
_RULES: Mapping[str, tuple[type, Callable[[Any], bool], str]] = {
    "embedding_size": (int, *_POSITIVE),
    "batch_size": (int, *_POSITIVE),
    "learning_rate": (float, *_POSITIVE),
    "max_epochs": (int, *_POSITIVE),
    "patience": (int, *_POSITIVE),
    "dropout": (float, *_SHARE),
    "id_dropout": (float, *_SHARE),
    "weight_decay": (float, lambda value: value >= 0, "0 or more"),
    "fused_size": (int, *_POSITIVE),
}


def changed(base: Options, changes: Mapping[str, Any]) -> Options:
    """Hyperparameters with some of them replaced.

    Raises:
        InputError: there is no such hyperparameter, or it cannot have this value; names both.
    """
    found: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in {field.name for field in fields(Options)}:
            known = ", ".join(sorted(field.name for field in fields(Options)))
            raise InputError(f"There is no hyperparameter {name!r}: choose of {known}.")
        if name == "hidden":
            if not isinstance(value, list | tuple) or not value or not all(_is(int, n) and n > 0 for n in value):
                raise InputError(f"hidden is {value!r}: it must be a list of widths, such as [200, 80].")
            found[name] = tuple(value)
            continue
        kind, allowed, bound = _RULES[name]
        if not _is(kind, value) or not allowed(value):
            whole = "a whole number " if kind is int else ""
            raise InputError(f"{name} is {value!r}: it must be {whole}{bound}.")
        found[name] = kind(value)
    return replace(base, **found)


def candidates(grid: Mapping[str, Any] | None, base: Options) -> list[dict[str, Any]]:
    """Every combination of a grid's values, each once, in the grid's order; one that changes nothing without a grid.

    Args:
        grid: a list of values for each hyperparameter, such as {"learning_rate": [1e-3, 5e-4], "dropout": [0.2, 0.4]}.
        base: what a candidate does not change.

    Raises:
        InputError: no list, an empty one, an unknown name, a value out of bounds, or too many combinations.
    """
    grid = grid or {}
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"The grid's {name} is {values!r}: give a list of values, such as [0.2, 0.4].")
    if (many := math.prod(map(len, grid.values()))) > MAX_CANDIDATES:
        raise InputError(f"The grid has {many} combinations: at most {MAX_CANDIDATES} are tried at once.")
    found: dict[Options, dict[str, Any]] = {}
    for values in itertools.product(*grid.values()):
        candidate = dict(zip(grid, values, strict=True))
        found.setdefault(changed(base, candidate), candidate)
    return list(found.values())


def fit_candidate(
    engine: Engine,
    settings: Settings,
    candidate: Mapping[str, Any],
    *,
    backbone: str,
    memory: Sequence[Memory] = BOTH,
    options: Sequence[str] = ("pooled",),
    seeds: int = 1,
    checkpoints: Path | None = None,
    run_labels: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> str:
    """Train every variant with a candidate's hyperparameters; MLflow keeps what validation says, the mean of all.

    All variants count alike, so that tuning favours neither the backbone nor what it is compared with. A candidate that
    MLflow already holds for the same samples is not trained again.

    Args:
        engine, settings, backbone, memory, options, checkpoints, run_labels, progress: as in `train`.
        candidate: hyperparameters that differ from the backbone's own.
        seeds: 0 .. seeds - 1.

    Returns:
        The id of its MLflow run.

    Raises:
        InputError, ServiceUnavailable: as in `train`.
    """
    training = changed(options_for(backbone), candidate)
    plan = Plan(backbone, tuple(memory), check_options(options), seeds, training)
    client = tracking.connect(settings)
    dataset = load(engine, settings, plan.reads)
    plan.check(dataset)
    params = {**plan.params(dataset), CANDIDATE: json.dumps(dict(candidate), sort_keys=True)}
    found = fingerprint(tracking.CANDIDATE, dataset.digest, params)
    folder = own_folder(checkpoints, found)
    with tracking.mlflow_errors(settings.require("mlflow_tracking_uri")):
        experiment = tracking.experiment_id(client)
        if (earlier := tracking.finished_candidate(client, experiment, found)) is not None:
            return earlier
        tags = {**versions(dataset, plan), **(run_labels or {}), tracking.FINGERPRINT: found}
        run = tracking.start(client, experiment, f"{backbone} {params[CANDIDATE]}", tags, params, tracking.CANDIDATE)
        try:
            kept = []
            for name, fitted in plan.fits(dataset, folder, progress):
                tracking.log_fit(client, experiment, run, name, fitted, params, {})
                kept.append(fitted.validation)
            scores = {SCORE: float(np.mean([epoch.log_loss for epoch in kept]))}
            if all(epoch.auc is not None for epoch in kept):
                scores["validation_auc"] = float(np.mean([epoch.auc for epoch in kept]))
            tracking.finish_candidate(client, run, scores)
        except BaseException:
            tracking.fail(client, run)
            raise
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    return run


def best(settings: Settings, run_ids: Sequence[str]) -> dict[str, Any]:
    """Hyperparameters of the candidate with the lowest validation log loss; of equals, the first.

    Args:
        settings: `mlflow_tracking_uri`.
        run_ids: what `fit_candidate` returned, at least one.

    Raises:
        LiberError: the candidates were not trained on the same samples.
        ServiceUnavailable: MLflow does not answer.
    """
    client = tracking.connect(settings)
    with tracking.mlflow_errors(settings.require("mlflow_tracking_uri")):
        runs = [client.get_run(run_id) for run_id in run_ids]
    if len({run.data.tags["liber.dataset_digest"] for run in runs}) > 1:
        raise LiberError("The data changed during the search, so its candidates do not compare: start it again.")
    found: dict[str, Any] = json.loads(min(runs, key=lambda run: run.data.metrics[SCORE]).data.params[CANDIDATE])
    return found


def _is(kind: type, value: object) -> bool:
    """Whether JSON means a number of this kind: 1 is a float too, true is none."""
    return isinstance(value, int | float if kind is float else int) and not isinstance(value, bool)
