"""A cell: one model trained with one seed, and its predictions. What it depends on is its fingerprint."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from liber_tasks.errors import InputError
from liber_tasks.evaluation.code import code_digest
from liber_tasks.evaluation.studies import Arm
from liber_tasks.fusion.model import ModelConfig
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.fit import THREADS, fit, predict, threads
from liber_tasks.training.options import Options
from liber_tasks.training.parts import TEST, VALIDATION

_ALWAYS = ("event_item", "event_response", "users", "items", "genres", "seen_items", "user", "item", "label", "history",
           "seen", "part")  # fmt: skip
_VECTORS = ("vectors", "memory")
_PROFILES = ("target", "profiles", "profile_mask", "closed")
_ARRAYS = ("test", "validation", "curve")


@dataclass(frozen=True)
class Cell:
    """What to train.

    Attributes:
        arm: as the study calls it; not part of the fingerprint, so that studies share cells.
        dataset: key of its samples within the study.
        config: of the model.
        training: hyperparameters.
        seed: of weights, order and dropout.
        fingerprint: sha256 of all that the predictions depend on.
    """

    arm: Arm
    dataset: str
    config: ModelConfig
    training: Options
    seed: int
    fingerprint: str

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.config.backbone} {self.arm.name}, seed {self.seed}"


@dataclass(frozen=True)
class Outcome:
    """What came of a cell.

    Attributes:
        test: (n,) float32, probabilities of the test samples, in the order of the samples.
        validation: likewise of the validation samples.
        curve: (epochs, 3) float64: training log loss, validation log loss, validation AUC (NaN: one class).
        best_epoch: whose weights predict, from 1.
        seconds: of training.
    """

    test: np.ndarray
    validation: np.ndarray
    curve: np.ndarray
    best_epoch: int
    seconds: float

    def to_bytes(self) -> bytes:
        """npz without pickle."""
        buffer = io.BytesIO()
        scalars = {"best_epoch": np.int64(self.best_epoch), "seconds": np.float64(self.seconds)}
        np.savez_compressed(buffer, **{name: getattr(self, name) for name in _ARRAYS}, **scalars)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Outcome":
        """Read what `to_bytes` wrote."""
        with np.load(io.BytesIO(stored), allow_pickle=False) as kept:
            return cls(
                **{name: kept[name] for name in _ARRAYS}, best_epoch=int(kept["best_epoch"]),
                seconds=float(kept["seconds"]),
            )  # fmt: skip


def cells_of(
    arm: Arm, key: str, dataset: Dataset, backbone: str, seeds: int, training: Callable[[str], Options]
) -> list[Cell]:
    """The cells of an arm and a backbone, seeds 0 .. seeds - 1.

    Args:
        arm: of a study.
        key: of `dataset` within the study.
        dataset: samples that hold what the arm's options read.
        backbone: name in `backbones.by_name`.
        seeds: how many.
        training: hyperparameters of a backbone.

    Raises:
        InputError: the arm reads partition vectors and there are none.
    """
    if arm.reads_vectors and not dataset.vectors.shape[1]:
        raise InputError("There is no interest vector yet: run `liber learn`, then `liber encode`.")
    options = training(backbone)
    config = dataset.config(backbone, arm.options, options)
    parts = [seen_digest(dataset, config), config.to_dict(), options.to_dict(), code_digest(backbone),
             torch.__version__]  # fmt: skip
    return [Cell(arm, key, config, options, seed, _fingerprint([*parts, seed])) for seed in range(seeds)]


def _fingerprint(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def seen_digest(dataset: Dataset, config: ModelConfig) -> str:
    """sha256 of what a model of this configuration can see of the samples, and of nothing else.

    So a bare backbone is the same cell whatever vectors lie beside its samples.
    """
    names = [*_ALWAYS, *(_VECTORS if config.reads_vectors else ()), *(_PROFILES if config.profile_size else ())]
    arrays = {name: getattr(dataset, name) for name in names}
    if config.dense:
        arrays["dense"] = dataset.dense[:, [dataset.dense_names.index(name) for name in config.dense]]
    found = hashlib.sha256(dataset.vocabulary.to_json().encode())
    for name, tensor in arrays.items():
        array = np.ascontiguousarray(tensor.numpy())
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def train(cell: Cell, dataset: Dataset) -> Outcome:
    """Train a cell and predict; the same cell gives the same predictions on the same hardware."""
    with threads(THREADS):
        fitted = fit(dataset, cell.config, cell.training, cell.seed)
        test, validation = (
            predict(fitted.model, dataset, dataset.rows(part), cell.config) for part in (TEST, VALIDATION)
        )
    nan = float("nan")
    curve = [(e.train_log_loss, e.log_loss, nan if e.auc is None else e.auc) for e in fitted.epochs]
    return Outcome(test, validation, np.array(curve, dtype=np.float64), fitted.best_epoch, fitted.seconds)
