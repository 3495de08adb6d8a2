"""A study from the database to its report."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sqlalchemy import Engine

from liber_tasks.backbones.by_name import BACKBONES, backbone_of
from liber_tasks.config import ROOT, Settings
from liber_tasks.errors import InputError
from liber_tasks.evaluation import pages, speed
from liber_tasks.evaluation.cells import Cell, cells_of
from liber_tasks.evaluation.compare import DRAWS, Comparison, Row, Truth, compare, row
from liber_tasks.evaluation.engine import outcomes, versions
from liber_tasks.evaluation.report import Protocol, Report
from liber_tasks.evaluation.samples import Samples
from liber_tasks.evaluation.store import Store, connected
from liber_tasks.evaluation.studies import LIBER, TABLE7, Arm, Study, study
from liber_tasks.evaluation.verdict import sentences
from liber_tasks.feedback import positive
from liber_tasks.fusion.options import BASIC, POOLED
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.evaluate import auc
from liber_tasks.training.options import Options, options_for
from liber_tasks.training.parts import FIT, TEST, VALIDATION
from liber_tasks.types import Progress, silent

PROTOCOL = (
    "Samples are split by time; history, partitions and counts of a sample lie strictly before it. Epochs and "
    "hyperparameters were chosen on the latest tenth of the samples before the cut, nothing on test rows."
)


def run(
    engine: Engine,
    settings: Settings,
    name: str,
    *,
    backbones: Sequence[str] = (),
    seeds: int = 5,
    processes: int = 1,
    out: Path | None = None,
    draws: int = DRAWS,
    progress: Progress = silent,
    training: Callable[[str], Options] = options_for,
) -> Report:
    """Train what is missing of a study, compare, and keep the report in MLflow.

    Every finished model is kept there at once: a run that was stopped goes on, and studies share models.

    Args:
        engine: LIBER database.
        settings: `mlflow_tracking_uri`, `train_share`, and what makes a knowledge version.
        name: in `studies.STUDIES`.
        backbones: names in `backbones.by_name`; none: those of the study.
        seeds: 0 .. seeds - 1, paired.
        processes: models trained at once.
        out: folder for the report's files; None: they go to MLflow only.
        draws: of users, for an interval.
        progress: counts models.
        training: hyperparameters of a backbone.

    Raises:
        InputError: wrong arguments, or data that is not there; says what to do.
        ServiceUnavailable: MLflow or the database does not answer.
        LiberError: a training process was killed, or the data changed meanwhile.
    """
    chosen = study(name)
    names = backbones_of(backbones, chosen.backbones)
    for argument, value in (("--seeds", seeds), ("--processes", processes)):
        if value < 1:
            raise InputError(f"{argument} is {value}: it must be at least 1.")
    with connected(settings) as store:
        samples = Samples(engine, settings, chosen.options, progress)
        wanted, missing = _cells(chosen, samples, names, seeds, training)
        truth = samples.truth()
        if auc(truth.label, truth.label) is None:
            raise InputError("All test ratings are of one class: there is no AUC. Load more behaviours.")
        found = outcomes(
            store, [cell for cells in wanted.values() for cell in cells], samples.datasets, processes=processes,
            progress=progress,
        )  # fmt: skip
        scores = {key: np.stack([found[cell.fingerprint].test for cell in cells]) for key, cells in wanted.items()}
        rows, comparisons = results(chosen, names, truth, scores, missing, seeds, draws, progress)
        report = Report(
            chosen.name, chosen.title, _protocol(samples.first, truth, seeds, draws, names, training),
            _knowledge(chosen, samples), tuple(rows), tuple(comparisons),
            (*sentences(chosen, names, comparisons, seeds), *dict.fromkeys(missing_line(*m) for m in missing.items())),
        )  # fmt: skip
        return _kept(store, report, samples.first, out)


def run_table7(
    engine: Engine,
    settings: Settings,
    *,
    backbones: Sequence[str] = (),
    rounds: int = speed.ROUNDS,
    out: Path | None = None,
    progress: Progress = silent,
    training: Callable[[str], Options] = options_for,
) -> Report:
    """Time inference with and without LIBER (paper, Table 7), and keep the report in MLflow; arguments as in `run`."""
    names = backbones_of(backbones, ())
    if rounds < 1:
        raise InputError(f"--rounds is {rounds}: it must be at least 1.")
    with connected(settings) as store:
        samples = Samples(engine, settings, BASIC)
        dataset = samples.datasets[samples.of(Arm(LIBER, (POOLED,)))]
        speeds = speed.measure(dataset, names, training, rounds=rounds, progress=progress)
        ratios = {
            what: ", ".join(f"{each.backbone} {each.ratio:.3f}" for each in speeds if each.what == what)
            for what in speed.WHATS
        }
        verdict = (
            f"Time with LIBER by time without, model alone: {ratios['model']}.",
            f"The same with users fused before, as a service has them: {ratios['model, fused before']}.",
        )
        report = Report(
            TABLE7, "Table 7: inference time", _protocol(dataset, samples.truth(), 0, 0, names, training),
            {"full": _version(dataset)}, (), (), verdict, tuple(speeds),
        )  # fmt: skip
        return _kept(store, report, dataset, out)


def results(
    chosen: Study,
    backbones: Sequence[str],
    truth: Truth,
    scores: dict[tuple[str, str], np.ndarray],
    missing: dict[str, str],
    seeds: int,
    draws: int = DRAWS,
    progress: Progress = silent,
) -> tuple[list[Row], list[Comparison]]:
    """Rows and comparisons of a study from its predictions (S, n), by backbone and arm."""
    comparisons = list[Comparison]()
    pairs = [(b, arm, against) for b in backbones for arm, against in chosen.pairs
             if (b, arm) in scores and (b, against) in scores]  # fmt: skip
    for number, (backbone, arm, against) in enumerate(pairs):
        progress(number, len(pairs), "pairs compared")
        treated, base = scores[backbone, arm], scores[backbone, against]
        comparisons.append(compare(backbone, arm, against, truth, treated, base, draws))
    progress(len(pairs), len(pairs), "pairs compared")
    first: dict[tuple[str, str], Comparison] = {}
    for each in comparisons:
        first.setdefault((each.backbone, each.variant), each)
    rows = [
        Row(backbone, arm.name, None, None, None, None, seeds, note=missing[arm.name])
        if arm.name in missing
        else row(backbone, arm.name, truth, scores[backbone, arm.name], first.get((backbone, arm.name)))
        for backbone in backbones
        for arm in chosen.arms
    ]
    return rows, comparisons


def missing_line(arm: str, note: str) -> str:
    """What to say of an arm that has no numbers."""
    return f"{arm}: {note}."


def _cells(
    chosen: Study, samples: Samples, backbones: Sequence[str], seeds: int, training: Callable[[str], Options]
) -> tuple[dict[tuple[str, str], list[Cell]], dict[str, str]]:
    """Cells by backbone and arm, and what to do about arms that have none."""
    cells, missing = {}, dict[str, str]()
    for arm in chosen.arms:
        note = samples.not_learnt(arm)
        if note is not None:
            missing[arm.name] = note
            continue
        key = samples.of(arm)
        for backbone in backbones:
            cells[backbone, arm.name] = cells_of(arm, key, samples.datasets[key], backbone, seeds, training)
    return cells, missing


def backbones_of(given: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
    """The backbones given, or else those of `default`; of none all.

    Raises:
        InputError: there is no such backbone.
    """
    names = tuple(dict.fromkeys(given or default or BACKBONES))
    for name in names:
        backbone_of(name)
    return names


def _protocol(
    dataset: Dataset, truth: Truth, seeds: int, draws: int, backbones: Sequence[str],
    training: Callable[[str], Options],
) -> Protocol:  # fmt: skip
    return Protocol(
        text=f"{positive(dataset.feedback)} {PROTOCOL}",
        cut=dataset.cut.isoformat(),
        rows_train=len(dataset.rows(FIT)),
        rows_validation=len(dataset.rows(VALIDATION)),
        rows_test=len(dataset.rows(TEST)),
        users=len(np.unique(truth.user)),
        rows_with_vector=int(truth.with_vector.sum()),
        users_with_vector=len(np.unique(truth.user[truth.with_vector])),
        seeds=seeds,
        draws=draws,
        digest=dataset.digest,
        commit=commit(),
        training={name: training(name).to_dict() for name in backbones},
    )


def _knowledge(chosen: Study, samples: Samples) -> dict[str, dict[str, str]]:
    """Versions of the texts that arms read."""
    reading = [arm for arm in chosen.arms if arm.reads_vectors and samples.not_learnt(arm) is None]
    return {arm.learnt: _version(samples.datasets[samples.of(arm)]) for arm in reversed(reading)}


def _version(dataset: Dataset) -> dict[str, str]:
    version = dataset.version
    if version is None:
        return {}
    return {"model": version.model, "knowledge_version": version.knowledge_version,
            "encoder_version": version.encoder_version}  # fmt: skip


def _kept(store: Store, report: Report, dataset: Dataset, out: Path | None) -> Report:
    """The report with its run and files."""
    tags = {**versions(dataset), **({"mlflow.source.git.commit": report.protocol.commit} if report.protocol.commit
                                    else {})}  # fmt: skip
    with store.run(report.title, report.study, tags) as run:
        report = replace(report, run_id=run)
        contents = pages.files(report)
        store.files(run, contents)
    return replace(report, files=pages.write(out, contents)) if out else report


def commit() -> str | None:
    """The commit of the code, when it runs from a checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
