from dataclasses import replace

import pytest
import torch
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.fusion.combine import LiberModel
from liber_tasks.fusion.model import Memory, ModelConfig
from liber_tasks.training.dataset import FIT, TEST, VALIDATION, Dataset, load
from liber_tasks.training.evaluate import log_loss
from liber_tasks.training.fit import Fitted, fit, predict
from tests.training.data import DIMENSION, SMALL, fill


@pytest.fixture
def dataset(engine: Engine, settings: Settings) -> Dataset:
    fill(engine)
    return load(engine, settings)


def _fit(dataset: Dataset, memory: Memory = "liber", seed: int = 0, max_epochs: int = 2) -> Fitted:
    config = ModelConfig("din", memory, DIMENSION if memory == "liber" else 0, 50, 32, embedding_size=8, hidden=(16, 8))
    return fit(dataset, config, replace(SMALL, max_epochs=max_epochs, patience=max_epochs, learning_rate=1e-2), seed)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(dataset: Dataset) -> None:
    first, again, other = _fit(dataset), _fit(dataset), _fit(dataset, seed=1)
    for name, weight in first.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name]), name
    assert first.epochs == again.epochs
    assert first.epochs != other.epochs


def test_runs_of_a_seed_are_paired_so_a_memory_that_never_trains_changes_nothing(dataset: Dataset) -> None:
    nothing = torch.where((dataset.part == FIT).unsqueeze(1), 0, dataset.memory)
    blind = replace(dataset, memory=nothing)
    test = dataset.rows(TEST)
    assert blind.with_vector(test).any()
    none, liber = _fit(blind, "none"), _fit(blind, "liber")
    torch.testing.assert_close(
        torch.tensor(predict(liber.model, blind, test)), torch.tensor(predict(none.model, blind, test, False))
    )


def test_it_learns_what_can_be_learnt_and_keeps_the_best_epoch(dataset: Dataset) -> None:
    fitted = _fit(dataset, max_epochs=20)
    losses = [epoch.train_log_loss for epoch in fitted.epochs]
    assert losses[-1] < 0.5 < losses[0]
    assert fitted.validation.log_loss == min(epoch.log_loss for epoch in fitted.epochs)
    held_out = dataset.rows(VALIDATION)
    kept = log_loss(dataset.label[held_out].numpy(), predict(fitted.model, dataset, held_out))
    assert kept == pytest.approx(fitted.validation.log_loss)


def test_vectors_are_scaled_by_those_that_training_sees(dataset: Dataset) -> None:
    model = _fit(dataset).model
    assert isinstance(model, LiberModel)
    seen = {n for row in dataset.rows(FIT) for n in range(*dataset.memory[row].tolist())}
    assert 0 < len(seen) < len(dataset.vectors)
    used = dataset.vectors[sorted(seen)] * model.scale
    assert float(used.square().mean().sqrt()) == pytest.approx(1, rel=1e-4)
