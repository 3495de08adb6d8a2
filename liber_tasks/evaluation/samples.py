"""The samples that the arms of a study read, each kind loaded once."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Engine

from liber_tasks import learning
from liber_tasks.backbones.vocabulary import MAX_PARTITIONS
from liber_tasks.config import Settings
from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError, LiberError
from liber_tasks.evaluation.compare import Truth
from liber_tasks.evaluation.sources import with_vectors
from liber_tasks.evaluation.studies import Arm, Learnt
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.load import load
from liber_tasks.training.parts import TEST
from liber_tasks.types import Progress, silent


class Samples:
    """Data sets of arms, by key; all hold the same samples and differ in what lies beside them."""

    def __init__(self, engine: Engine, settings: Settings, options: Sequence[str], progress: Progress = silent) -> None:
        """Nothing is read yet.

        Args:
            engine: LIBER database.
            settings: `train_share`, `knowledge_version` and what makes one.
            options: of all arms together.
            progress: told about texts that a control has encoded: minutes for thousands of partitions.
        """
        self._engine, self._settings, self._options, self._progress = engine, settings, tuple(options), progress
        self._full: dict[tuple[Learnt, int], Dataset] = {}
        self.datasets: dict[str, Dataset] = {}

    def not_learnt(self, arm: Arm) -> str | None:
        """What to do about an arm whose texts were never made; None: they are there."""
        if arm.learnt == "full" or not arm.reads_vectors:
            return None
        version = str(self._learnt(arm.learnt).knowledge_version)
        with database_errors(), self._engine.connect() as connection:
            if connection.execute(query("evaluation/has_vectors"), {"knowledge_version": version}).scalar_one():
                return None
        return f"not learnt: run LIBER_LEARN_VARIANT={arm.learnt} liber learn, then the same with liber encode"

    def of(self, arm: Arm) -> str:
        """Key of an arm's samples, which are in `datasets` from then on.

        Raises:
            InputError: there is nothing to train on, or no vectors for an arm that reads them; says what to do.
            LiberError: the database changed while samples were read.
        """
        learnt: Learnt = arm.learnt if arm.reads_vectors else "full"
        source = arm.source if arm.reads_vectors else "knowledge"
        key = f"{learnt} {source} {arm.max_history}"
        if key not in self.datasets:
            dataset = self._load(learnt, arm.max_history)
            if arm.reads_vectors and dataset.version is None:
                raise InputError("There is no interest vector yet: run `liber learn`, then `liber encode`.")
            if source != "knowledge":
                dataset = with_vectors(self._engine, self._learnt(learnt), dataset, source, self._progress)
            self._check(dataset)
            self.datasets[key] = dataset
        return key

    def truth(self) -> Truth:
        """The test samples; whether one has a vector is as the knowledge of the paper's full method has it."""
        dataset = next((each for (learnt, _), each in self._full.items() if learnt == "full"), None)
        if dataset is None:
            raise LiberError("No samples were read.")
        rows = dataset.rows(TEST)
        return Truth(dataset.label[rows].numpy(), dataset.user[rows].numpy(), dataset.with_vector(rows).numpy())

    @property
    def first(self) -> Dataset:
        """The samples read first: what all share is in them."""
        return next(iter(self.datasets.values()))

    def _learnt(self, variant: Learnt) -> Settings:
        """Settings of a knowledge version: the one that is set, or for a variant the one these settings would make."""
        if variant == "full":
            return learning.with_version(self._settings)
        changes = {"learn_variant": variant, "knowledge_version": None}
        return learning.with_version(self._settings.model_copy(update=changes))

    def _load(self, learnt: Learnt, max_history: int) -> Dataset:
        if (learnt, max_history) not in self._full:
            # without partitions there is one text of the newest behaviours, not one a partition
            partitions = 1 if learnt == "no_partition" else MAX_PARTITIONS
            self._full[learnt, max_history] = load(
                self._engine, self._learnt(learnt), self._options, max_history=max_history, max_partitions=partitions
            )
        return self._full[learnt, max_history]

    def _check(self, dataset: Dataset) -> None:
        """Pairs need the same samples in the same order."""
        if not self.datasets:
            return
        for name in ("user", "item", "label", "part"):
            if not np.array_equal(getattr(dataset, name).numpy(), getattr(self.first, name).numpy()):
                raise LiberError(
                    "The database changed while its samples were read: run the command again, when nothing writes."
                )
