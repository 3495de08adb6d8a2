"""Inference time of a backbone with LIBER against the backbone alone (paper, Table 7)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch

from liber_tasks.backbones.batch import Batch
from liber_tasks.fusion.combine import LiberModel
from liber_tasks.fusion.model import ModelConfig, build
from liber_tasks.fusion.options import BASIC, POOLED
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.fit import THREADS, threads
from liber_tasks.training.options import Options
from liber_tasks.training.parts import TEST
from liber_tasks.types import Progress, silent

SAMPLES = 1000
ROUNDS = 15
WARM_UP = 2
CANDIDATES = 100  # ranked for one user at once
What = Literal["model", "model and batch", "model, fused before", "model, ranking", "model, ranking, fused before"]
WHATS: tuple[What, ...] = get_args(What)


@dataclass(frozen=True)
class Speed:
    """CPU time of one backbone.

    Attributes:
        backbone: which.
        variant: "liber".
        what: the model alone on a gathered batch, in which it fuses each distinct memory once; with gathering the batch
            from the samples in memory; the model alone where `CANDIDATES` samples each are of one user and time, as in
            a ranking request. "Fused before": the batch brings the fused vectors and the model fuses nothing, as in a
            service, which fuses a user once and keeps the vector until their past is read again.
        base_ms: of the backbone alone for 1,000 samples, median over rounds, milliseconds of CPU time.
        liber_ms: likewise with LIBER.
        ratio: median over rounds of the second by the first.
        ratio_low, ratio_high: its quartiles.
    """

    backbone: str
    variant: str
    what: What
    base_ms: float
    liber_ms: float
    ratio: float
    ratio_low: float
    ratio_high: float


def measure(
    dataset: Dataset,
    backbones: Sequence[str],
    training: Callable[[str], Options],
    *,
    rounds: int = ROUNDS,
    progress: Progress = silent,
) -> list[Speed]:
    """Time both in turns, in one process, on one thread: what slows the machine down slows both.

    The models are not trained: their weights do not change the time. The samples are test rows with a partition vector
    where there are enough, the ones that cost LIBER most. Both models read what every model reads, `BASIC`.

    Args:
        dataset: samples with partition vectors, loaded with `BASIC`.
        backbones: names in `backbones.by_name`.
        training: hyperparameters of a backbone: its sizes.
        rounds: in which each is timed once, by turns first and second.
        progress: counts backbones.

    Returns:
        Rows of each backbone, one for each of `WHATS`.
    """
    rows = _samples(dataset)
    ranking = _ranking(rows)
    found = []
    with threads(THREADS), torch.inference_mode():
        for number, backbone in enumerate(backbones):
            progress(number, len(backbones), "backbones timed")
            calls: dict[What, list[Callable[[], object]]] = {what: [] for what in WHATS}
            for chosen in (BASIC, (*BASIC, POOLED)):
                config = dataset.config(backbone, chosen, training(backbone))
                torch.manual_seed(0)
                model = build(config, dataset.vocabulary).eval()
                batch, ranked = dataset.batch(rows, config), dataset.batch(ranking, config)
                calls["model"].append(partial(model, batch))
                calls["model and batch"].append(partial(_gathered, model, dataset, rows, config))
                calls["model, fused before"].append(partial(model, _fused(model, config, batch)))
                calls["model, ranking"].append(partial(model, ranked))
                calls["model, ranking, fused before"].append(partial(model, _fused(model, config, ranked)))
            for what, (base, liber) in calls.items():
                times = _in_turns(base, liber, rounds) * (1000 * SAMPLES / len(rows))
                ratio = times[:, 1] / times[:, 0]
                low, middle, high = np.quantile(ratio, (0.25, 0.5, 0.75))
                base_ms, liber_ms = np.median(times, axis=0)
                found.append(
                    Speed(backbone, "liber", what, float(base_ms), float(liber_ms), float(middle), float(low),
                          float(high))
                )  # fmt: skip
    progress(len(backbones), len(backbones), "backbones timed")
    return found


def _gathered(model: LiberModel, dataset: Dataset, rows: torch.Tensor, config: ModelConfig) -> object:
    return model(dataset.batch(rows, config))


def _fused(model: LiberModel, config: ModelConfig, batch: Batch) -> Batch:
    """The batch as a service has it once it knows the users."""
    if not config.reads_vectors:
        return batch
    return replace(batch, fused=model.fused(batch.vectors, batch.memories, batch.memories_mask))


def _samples(dataset: Dataset) -> torch.Tensor:
    """At most 1,000 test rows, evenly spaced; those with a vector if they are as many."""
    rows = dataset.rows(TEST)
    with_vector = rows[dataset.with_vector(rows)]
    chosen = with_vector if len(with_vector) >= min(SAMPLES, len(rows)) else rows
    return chosen[torch.linspace(0, len(chosen) - 1, min(SAMPLES, len(chosen))).long()]


def _ranking(rows: torch.Tensor) -> torch.Tensor:
    """As many rows, evenly spaced, each as often as a request has candidates: which item it is takes no time."""
    distinct = -(-len(rows) // CANDIDATES)
    chosen = rows[torch.linspace(0, len(rows) - 1, distinct).long()]
    return chosen.repeat_interleave(CANDIDATES)[: len(rows)]


def _in_turns(base: Callable[[], object], liber: Callable[[], object], rounds: int) -> np.ndarray:
    """CPU seconds (rounds, 2) of both; whoever was first is second in the next round."""
    times = np.zeros((rounds, 2))
    calls = (base, liber)
    for number in range(-WARM_UP, rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            started = time.process_time()
            calls[which]()
            if number >= 0:
                times[number, which] = time.process_time() - started
    return times
