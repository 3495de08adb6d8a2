"""What the partition memory brings by what it is made of: `liber evaluate memory`, by time or by user."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sqlalchemy import Engine

from liber_tasks.backbones.vocabulary import MAX_HISTORY, MAX_PARTITIONS, MAX_PAST
from liber_tasks.binary_copy import microseconds
from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from liber_tasks.evaluation import pages
from liber_tasks.evaluation.cells import Cell, cells_of
from liber_tasks.evaluation.compare import DRAWS, MIN_ROWS, Comparison, Truth, lift
from liber_tasks.evaluation.engine import outcomes, versions
from liber_tasks.evaluation.item_sources import ItemSource, texts_of
from liber_tasks.evaluation.memory_report import GroupLift, MemoryReport
from liber_tasks.evaluation.memory_study import (
    BACKBONES,
    CONTROLS,
    FOLDS,
    SPLITS,
    STUDY,
    MemoryArm,
    Split,
    arms_of,
    pairs_of,
)
from liber_tasks.evaluation.report import Protocol
from liber_tasks.evaluation.run import backbones_of, commit, results
from liber_tasks.evaluation.sources import narrowed
from liber_tasks.evaluation.store import Store, connected
from liber_tasks.evaluation.studies import BASE, MEMORY, Study
from liber_tasks.evaluation.verdict import sentences
from liber_tasks.features.profile import profiles
from liber_tasks.feedback import positive
from liber_tasks.fusion.options import (
    DENSE_PROFILE,
    LEXICAL_PROFILE,
    POOLED,
    PROFILE,
    check_options,
)
from liber_tasks.training.assemble import assemble
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.evaluate import auc
from liber_tasks.training.load import Read, read
from liber_tasks.training.options import Options, options_for
from liber_tasks.training.parts import FIT, TEST, VALIDATION, Fold
from liber_tasks.types import Progress, silent

LENGTHS = ((0, 20), (20, 101), (101, None))


def run_memory(
    engine: Engine,
    settings: Settings,
    *,
    knowledge: str | None = None,
    split: Split = "time",
    backbones: Sequence[str] = (),
    variants: Sequence[str] = (),
    seeds: int = 5,
    processes: int = 1,
    out: Path | None = None,
    draws: int = DRAWS,
    progress: Progress = silent,
    training: Callable[[str], Options] = options_for,
) -> MemoryReport:
    """Train what is missing of the study, compare, and keep the report in MLflow.

    Args:
        engine, settings, backbones, seeds, processes, out, draws, progress, training: as in `run.run`.
        knowledge: version of the texts about items; None: as the settings say.
        split: "time", or "users": every user is tested once.
        variants: names of arms; none: all. The base is always among them.

    Raises:
        InputError: wrong arguments, or data that is not there; says what to do.
        ServiceUnavailable: MLflow or the database does not answer.
    """
    names = backbones_of(backbones, BACKBONES)
    arms = arms_of(variants)
    if knowledge is not None:
        settings = settings.model_copy(update={"item_knowledge_version": knowledge})
    wanted = {*(name for arm in arms for name in arm.options), DENSE_PROFILE, LEXICAL_PROFILE}
    with connected(settings) as store:
        found = read(engine, settings, check_options(wanted))
        folds = (None,) if split == "time" else tuple(Fold(number, FOLDS) for number in range(FOLDS))
        trained = _Trained(names, arms, seeds, training)
        for number, fold in enumerate(folds, 1):
            of = f"fold {number} of {FOLDS}, " if fold else ""
            trained.fold(engine, settings, found, fold, store, processes, _labelled(progress, of))
        study = replace(STUDY, arms=arms, pairs=pairs_of(arms))
        truth = trained.truth()
        if auc(truth.label, truth.label) is None:
            raise InputError("All test ratings are of one class: there is no AUC. Load more behaviours.")
        scores = trained.scores()
        rows, comparisons = results(study, names, truth, scores, {}, seeds, draws, progress)
        report = MemoryReport(
            MEMORY, f"{STUDY.title}, split by {split}", trained.protocol(split, found, truth, draws),
            _versions(found), tuple(rows), tuple(comparisons), tuple(_verdict(study, names, comparisons, seeds)),
            split=split, item_knowledge=_knowledge(found), groups=tuple(trained.groups(truth, scores, draws)),
        )  # fmt: skip
        tags = {**versions(trained.first), **({"mlflow.source.git.commit": report.protocol.commit}
                                              if report.protocol.commit else {})}  # fmt: skip
        with store.run(report.title, report.study, tags) as run:
            report = replace(report, run_id=run)
            contents = pages.files(report)
            store.files(run, contents)
        return replace(report, files=pages.write(out, contents)) if out else report


class _Trained:
    """Predictions of all folds."""

    def __init__(
        self, backbones: Sequence[str], arms: Sequence[MemoryArm], seeds: int, training: Callable[[str], Options]
    ) -> None:
        self._backbones, self._arms, self._seeds, self._training = tuple(backbones), tuple(arms), seeds, training
        self._scores: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
        self._truths: list[dict[str, np.ndarray]] = []
        self._rows = dict.fromkeys((FIT, VALIDATION, TEST), 0)
        self.first: Dataset

    def fold(
        self, engine: Engine, settings: Settings, found: Read, fold: Fold | None, store: Store, processes: int,
        progress: Progress,
    ) -> None:  # fmt: skip
        """Train and predict one fold's cells; its samples are forgotten afterwards."""
        datasets: dict[str, Dataset] = {}
        cells: dict[tuple[str, str], list[Cell]] = {}
        for arm in self._arms:
            if arm.items not in datasets:
                datasets[arm.items] = _samples(engine, settings, found, arm.items, self._arms, fold)
            for backbone in self._backbones:
                cells[backbone, arm.name] = cells_of(
                    arm, arm.items, datasets[arm.items], backbone, self._seeds, self._training
                )
        every = [cell for each in cells.values() for cell in each]
        done = outcomes(store, every, datasets, processes=processes, progress=progress)
        for key, each in cells.items():
            self._scores[key].append(np.stack([done[cell.fingerprint].test for cell in each]))
            dataset = datasets["knowledge"]
        rows = dataset.rows(TEST)
        self._truths.append({
            "label": dataset.label[rows].numpy(), "user": dataset.user[rows].numpy(),
            "closed": (dataset.closed[rows, 1] > dataset.closed[rows, 0]).numpy(),
            "length": _lengths(dataset)[rows.numpy()], "known": dataset.users[dataset.user[rows], 0].numpy() > 0,
        })  # fmt: skip
        for part in self._rows:
            self._rows[part] += len(dataset.rows(part))
        self.first = dataset

    def truth(self) -> Truth:
        """The test samples of all folds."""
        return Truth(self._column("label"), self._column("user"), self._column("closed"))

    def scores(self) -> dict[tuple[str, str], np.ndarray]:
        """Probabilities (S, n) by backbone and arm."""
        return {key: np.concatenate(parts, axis=1) for key, parts in self._scores.items()}

    def groups(self, truth: Truth, scores: dict[tuple[str, str], np.ndarray], draws: int) -> list[GroupLift]:
        """Lifts over the base by group of test rows."""
        length, known = self._column("length"), self._column("known")
        chosen = {
            **{_of_length(low, high): (length >= low) & (length < (high or np.inf)) for low, high in LENGTHS},
            "user known to training": known,
            "user unknown to training": ~known,
        }
        found = []
        for (backbone, arm), mine in scores.items():
            for group, rows in chosen.items():
                if arm == BASE or not rows.any():
                    continue
                enough = rows.sum() >= MIN_ROWS and 0 < truth.label[rows].sum() < rows.sum()
                base = scores[backbone, BASE]
                found.append(GroupLift(
                    backbone, arm, group, int(rows.sum()), len(np.unique(truth.user[rows])),
                    lift(truth.label[rows], truth.user[rows], mine[:, rows], base[:, rows], draws) if enough else None,
                ))  # fmt: skip
        return found

    def protocol(self, split: Split, found: Read, truth: Truth, draws: int) -> Protocol:
        """How the figures were made."""
        return Protocol(
            text=f"{positive(found.raw.feedback)} History, partitions and counts of a sample lie strictly before it. "
            f"{SPLITS[split]} Epochs and hyperparameters were chosen on validation rows, nothing on test rows.",
            cut=found.cut.isoformat(), rows_train=self._rows[FIT], rows_validation=self._rows[VALIDATION],
            rows_test=self._rows[TEST], users=len(np.unique(truth.user)),
            rows_with_vector=int(truth.with_vector.sum()),
            users_with_vector=len(np.unique(truth.user[truth.with_vector])), seeds=self._seeds, draws=draws,
            digest=self.first.digest, commit=commit(),
            training={name: self._training(name).to_dict() for name in self._backbones},
        )  # fmt: skip

    def _column(self, name: str) -> np.ndarray:
        return np.concatenate([each[name] for each in self._truths])


def _samples(
    engine: Engine, settings: Settings, found: Read, items: ItemSource, arms: Sequence[MemoryArm], fold: Fold | None
) -> Dataset:
    """Samples whose items have the texts of a source, with what the arms of that source read."""
    options = check_options(
        {name for arm in arms if arm.items == items for name in arm.options} | set(STUDY.arms[0].options)
    )
    texts = texts_of(items, engine, settings, found.raw, found.cut)
    raw = replace(found.raw, texts=texts)
    dataset = assemble(raw, found.cut, None, options, MAX_HISTORY, MAX_PAST, MAX_PARTITIONS, fold)
    if POOLED not in options:
        return dataset
    return _pooled(dataset, found, texts.dense(raw.tables), settings.encoder_dimension)


def _pooled(dataset: Dataset, found: Read, view: np.ndarray, width: int) -> Dataset:
    """The same samples, with what was disliked and liked in each partition as its vector."""
    item, response, partition = dataset.event_item, dataset.event_response, dataset.event_partition
    made = profiles(view, item.numpy(), response.numpy(), partition.numpy(), len(dataset.profiles)).mean
    trains = found.raw.partitions["sealed_at"] < microseconds(found.cut)
    vectors = narrowed(made.reshape(len(made), -1), width, trains)
    return replace(dataset, vectors=torch.from_numpy(vectors), memory=dataset.closed)


def _lengths(dataset: Dataset) -> np.ndarray:
    """Behaviours of the user strictly before each sample, (S,) int64."""
    user, history = dataset.user.numpy(), dataset.history.numpy()
    first = np.full(len(dataset.users), np.iinfo(np.int64).max)
    np.minimum.at(first, user, history[:, 0])  # a user's first sample has the empty range where its behaviours begin
    return history[:, 1] - first[user]


def _of_length(low: int, high: int | None) -> str:
    return f"history of {low} or more" if high is None else f"history of {low} to {high - 1}"


def _verdict(study: Study, names: Sequence[str], comparisons: Sequence[Comparison], seeds: int) -> list[str]:
    """What may be said; of a part of the study nothing is claimed."""
    whole = {PROFILE, *CONTROLS} <= {arm.name for arm in study.arms}
    return sentences(study if whole else replace(study, treated=None), names, comparisons, seeds)


def _knowledge(found: Read) -> str | None:
    return found.raw.texts.versions.get("knowledge_version") if found.raw.texts else None


def _versions(found: Read) -> dict[str, dict[str, str]]:
    return {"items": dict(found.raw.texts.versions)} if found.raw.texts else {}


def _labelled(progress: Progress, before: str) -> Progress:
    def show(done: int, total: int | None, label: str) -> None:
        progress(done, total, f"{before}{label}")

    return show
