"""One training run: a model, a seed, early stopping on the validation tail."""

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from liber_tasks.backbones.batch import Batch
from liber_tasks.backbones.by_name import backbone_of
from liber_tasks.fusion.combine import LiberModel
from liber_tasks.fusion.model import ModelConfig, build
from liber_tasks.training import checkpoint, processes
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.evaluate import auc, log_loss
from liber_tasks.training.options import Options
from liber_tasks.training.parts import FIT, VALIDATION
from liber_tasks.types import Progress, silent

THREADS = 1  # more are faster on an idle machine and ten times slower on a busy one, where they wait for each other
EVALUATION_BATCH = 4096


@dataclass(frozen=True)
class Epoch:
    """Validation after one epoch."""

    train_log_loss: float
    log_loss: float
    auc: float | None


@dataclass(frozen=True)
class Fitted:
    """A trained model at its best epoch."""

    model: LiberModel
    config: ModelConfig
    seed: int
    epochs: tuple[Epoch, ...]
    best_epoch: int  # from 1
    seconds: float

    @property
    def validation(self) -> Epoch:
        """Validation of the epoch kept."""
        return self.epochs[self.best_epoch - 1]


def fit(
    dataset: Dataset,
    config: ModelConfig,
    options: Options,
    seed: int,
    *,
    checkpoints: Path | None = None,
    progress: Progress = silent,
) -> Fitted:
    """Train one model; the same data, configuration, options and seed give the same weights on the same hardware.

    Runs of one seed are paired whatever their options: the backbone's initial weights, the order of samples and the
    dropouts are the same. With CUDA it computes in bfloat16 where that is safe; started by torchrun, every process
    takes its share of each batch and all end with the same weights.

    Args:
        dataset: samples.
        config: of the model, `dataset.config(...)`.
        options: hyperparameters.
        seed: of weights, order and dropout.
        checkpoints: folder in which each epoch's state is kept, so that a killed run goes on; None: none is kept.
        progress: told about samples of the epoch at hand.
    """
    started = time.perf_counter()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(seed)
    model = build(config, dataset.vocabulary)
    _standardise(model, dataset, config)
    model.to(device)
    torch.manual_seed(seed)  # building what the options add used up random numbers
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(
        model.parameters(), options.learning_rate, weight_decay=options.weight_decay, fused=True
    )
    state = _State(model, optimizer, order)
    keep = checkpoint.File.of(checkpoints, dataset.digest, config, options, seed)
    state.resume(processes.shared(keep.read) if keep else None)
    train = processes.wrapped(model)
    rows, held_out = dataset.rows(FIT), dataset.rows(VALIDATION)
    draws_negatives = getattr(backbone_of(config.backbone), "reads_negatives", False)
    while len(state.epochs) < options.max_epochs and state.waited < options.patience:
        model.train()
        total, done = 0.0, 0
        for chunk in rows[torch.randperm(len(rows), generator=order)].split(options.batch_size):
            batch = dataset.batch(chunk, config, order if draws_negatives else None)
            batch = _drop_ids(batch, options.id_dropout, order)
            mine = processes.share(len(chunk))
            part = _part_of_pairs(batch.history_mask, mine)
            batch, label = batch.part(mine).to(device), dataset.label[chunk][mine].to(device)
            with _mixed(device):
                output = train(batch)
                loss = nn.functional.binary_cross_entropy_with_logits(output.logits.float(), label, reduction="sum")
            loss = loss * (processes.world() / len(chunk))  # the mean over processes is that over the batch
            total += loss.item() * len(chunk)
            if output.auxiliary is not None:
                loss = loss + output.auxiliary * (processes.world() * part)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            done += len(chunk)
            progress(done, len(rows), f"samples of epoch {len(state.epochs) + 1}")
        truth, probability = dataset.label[held_out].numpy(), predict(model, dataset, held_out, config)
        held_out_loss = processes.mean(log_loss(truth, probability))  # when to stop is decided alike everywhere
        state.add(Epoch(processes.mean(total / len(rows)), held_out_loss, auc(truth, probability)))
        if keep and processes.first():
            keep.write(state.to_dict())
    model.load_state_dict(state.best)
    seconds = time.perf_counter() - started
    return Fitted(model.cpu().eval(), config, seed, tuple(state.epochs), state.best_epoch, seconds)


def predict(model: LiberModel, dataset: Dataset, rows: Tensor, config: ModelConfig) -> np.ndarray:
    """Probabilities of the samples `rows`, (n,) float32."""
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode(), _mixed(device):
        chunks = [
            torch.sigmoid(model(dataset.batch(chunk, config).to(device)).logits.float()).cpu()
            for chunk in rows.split(EVALUATION_BATCH)
        ]
    return torch.cat(chunks).numpy() if chunks else np.zeros(0, dtype=np.float32)


@dataclass
class _State:
    """What a run has reached: everything the next epoch depends on."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    order: torch.Generator

    def __post_init__(self) -> None:
        self.epochs: list[Epoch] = []
        self.best: dict[str, Tensor] = copy.deepcopy(self.model.state_dict())
        self.best_epoch = 0

    @property
    def waited(self) -> int:
        """Epochs since the best one."""
        return len(self.epochs) - self.best_epoch if self.best_epoch else 0

    def add(self, epoch: Epoch) -> None:
        """Note an epoch, and its weights if they are the best."""
        best = self.epochs[self.best_epoch - 1].log_loss if self.best_epoch else math.inf
        self.epochs.append(epoch)
        if epoch.log_loss < best or not self.best_epoch:
            self.best, self.best_epoch = copy.deepcopy(self.model.state_dict()), len(self.epochs)

    def to_dict(self) -> dict[str, Any]:
        """As tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "best_epoch": self.best_epoch,
            "epochs": [tuple(getattr(epoch, f.name) for f in fields(epoch)) for epoch in self.epochs],
            "order": self.order.get_state(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        }

    def resume(self, kept: dict[str, Any] | None) -> None:
        """Go on where a checkpoint ended."""
        if kept is None:
            return
        self.model.load_state_dict(kept["model"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.best, self.best_epoch = kept["best"], kept["best_epoch"]
        self.epochs = [Epoch(*epoch) for epoch in kept["epochs"]]
        self.order.set_state(kept["order"])
        torch.set_rng_state(kept["random"])
        if kept["random_cuda"] is not None:
            torch.cuda.set_rng_state(kept["random_cuda"])


@contextmanager
def threads(count: int) -> Iterator[None]:
    """torch with a fixed number of threads, put back afterwards: sums, and so weights, depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _mixed(device: torch.device) -> torch.autocast:
    """Mixed precision on a GPU; bfloat16 needs no loss scaling."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


def _part_of_pairs(history_mask: Tensor, mine: slice) -> float:
    """This process's part of the pairs of consecutive behaviours, over which an auxiliary loss is a mean."""
    if processes.world() == 1:
        return 1.0
    pairs = (history_mask.sum(dim=1) - 1).clamp(min=0)
    return float(pairs[mine].sum() / pairs.sum().clamp(min=1))


def _drop_ids(batch: Batch, share: float, generator: torch.Generator) -> Batch:
    """Replace a share of user ids and candidate ids by "unknown": how its embedding is learnt."""
    keep_user = torch.rand(len(batch), generator=generator) >= share
    keep_item = torch.rand(len(batch), generator=generator) >= share
    user, item = batch.user.clone(), batch.item.clone()
    user[:, 0] *= keep_user
    item[:, 0] *= keep_item
    return replace(batch, user=user, item=item)


def _standardise(model: LiberModel, dataset: Dataset, config: ModelConfig) -> None:
    """Scale what the options read by what training samples see."""
    fit_rows = dataset.rows(FIT)
    if config.reads_vectors:
        model.scale.fill_(_vector_scale(dataset, fit_rows))
    if config.dense:
        columns = dataset.dense[fit_rows][:, [dataset.dense_names.index(name) for name in config.dense]]
        model.dense_mean.copy_(columns.mean(dim=0))
        model.dense_scale.copy_(1 / columns.std(dim=0).clamp(min=1e-6))


def _vector_scale(dataset: Dataset, fit_rows: Tensor) -> float:
    """1 / root mean square of the numbers in vectors that a training sample sees; 1 without any."""
    memory = dataset.memory[fit_rows]
    seen = torch.zeros(len(dataset.vectors) + 1)
    seen.index_add_(0, memory[:, 0], torch.ones(len(memory)))
    seen.index_add_(0, memory[:, 1], -torch.ones(len(memory)))
    used = dataset.vectors[seen.cumsum(0)[:-1] > 0.5]
    return float(1 / used.square().mean().sqrt().clamp(min=1e-6)) if len(used) else 1.0
