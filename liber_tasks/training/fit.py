"""One training run: a model, a seed, early stopping on the validation tail."""

import copy
import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from liber_tasks.backbones.batch import Batch
from liber_tasks.fusion.combine import LiberModel
from liber_tasks.fusion.model import ModelConfig, build
from liber_tasks.training.dataset import FIT, VALIDATION, Dataset
from liber_tasks.training.evaluate import auc, log_loss

THREADS = 1  # more are faster on an idle machine and ten times slower on a busy one, where they wait for each other
EVALUATION_BATCH = 4096


@dataclass(frozen=True)
class Options:
    """Hyperparameters (paper, section 4.1.3; the rest chosen on the validation tail of MovieLens-100K)."""

    embedding_size: int = 32
    hidden: tuple[int, ...] = (200, 80)
    batch_size: int = 1024
    learning_rate: float = 1e-3
    max_epochs: int = 5
    patience: int = 1  # epochs without a better validation log loss before it stops
    dropout: float = 0.4  # in the MLP
    id_dropout: float = 0.2  # share of user and candidate ids replaced by "unknown" in training
    weight_decay: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The options as JSON types."""
        return {**asdict(self), "hidden": list(self.hidden)}


@dataclass(frozen=True)
class Epoch:
    """Validation after one epoch."""

    train_log_loss: float
    log_loss: float
    auc: float | None


@dataclass(frozen=True)
class Fitted:
    """A trained model at its best epoch."""

    model: nn.Module
    config: ModelConfig
    seed: int
    epochs: tuple[Epoch, ...]
    best_epoch: int  # from 1
    seconds: float

    @property
    def validation(self) -> Epoch:
        """Validation of the epoch kept."""
        return self.epochs[self.best_epoch - 1]


def fit(dataset: Dataset, config: ModelConfig, options: Options, seed: int) -> Fitted:
    """Train one model; the same data, configuration, options and seed give the same weights.

    Runs of one seed are paired whatever their memory: the backbone's initial weights, the order of samples and the
    dropouts are the same.
    """
    started = time.perf_counter()
    torch.manual_seed(seed)
    model = build(config, dataset.vocabulary)
    if isinstance(model, LiberModel):
        model.scale.fill_(_vector_scale(dataset))
    torch.manual_seed(seed)  # building the memory used up random numbers
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), options.learning_rate, weight_decay=options.weight_decay)
    rows, held_out = dataset.rows(FIT), dataset.rows(VALIDATION)
    with_memory = config.memory == "liber"
    best, best_state, epochs = math.inf, model.state_dict(), list[Epoch]()
    while len(epochs) < options.max_epochs:
        model.train()
        losses = []
        for chunk in rows[torch.randperm(len(rows), generator=order)].split(options.batch_size):
            batch = _drop_ids(dataset.batch(chunk, with_memory), options.id_dropout, order)
            loss = nn.functional.binary_cross_entropy_with_logits(model(batch), dataset.label[chunk])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(loss.item() * len(chunk))
        label, probability = dataset.label[held_out].numpy(), predict(model, dataset, held_out, with_memory)
        epochs.append(Epoch(sum(losses) / len(rows), log_loss(label, probability), auc(label, probability)))
        if epochs[-1].log_loss < best:
            best, best_state, best_epoch = epochs[-1].log_loss, copy.deepcopy(model.state_dict()), len(epochs)
        elif len(epochs) - best_epoch >= options.patience:
            break
    model.load_state_dict(best_state)
    return Fitted(model.eval(), config, seed, tuple(epochs), best_epoch, time.perf_counter() - started)


def predict(model: nn.Module, dataset: Dataset, rows: Tensor, with_memory: bool = True) -> np.ndarray:
    """Probabilities of the samples `rows`, (n,) float32."""
    model.eval()
    with torch.inference_mode():
        chunks = [torch.sigmoid(model(dataset.batch(c, with_memory))) for c in rows.split(EVALUATION_BATCH)]
    return torch.cat(chunks).numpy()


def _drop_ids(batch: Batch, share: float, generator: torch.Generator) -> Batch:
    """Replace a share of user ids and candidate ids by "unknown": how its embedding is learnt."""
    keep_user = torch.rand(len(batch), generator=generator) >= share
    keep_item = torch.rand(len(batch), generator=generator) >= share
    batch.user[:, 0] *= keep_user  # the tensors are this batch's own copies
    batch.item[:, 0] *= keep_item
    return batch


def _vector_scale(dataset: Dataset) -> float:
    """1 / root mean square of the numbers in vectors that a training sample sees; 1 without any."""
    memory = dataset.memory[dataset.rows(FIT)]
    seen = torch.zeros(len(dataset.vectors) + 1)
    seen.index_add_(0, memory[:, 0], torch.ones(len(memory)))
    seen.index_add_(0, memory[:, 1], -torch.ones(len(memory)))
    used = dataset.vectors[seen.cumsum(0)[:-1] > 0.5]
    return float(1 / used.square().mean().sqrt().clamp(min=1e-6)) if len(used) else 1.0
