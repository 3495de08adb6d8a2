from dataclasses import replace

import pytest
import torch
from sqlalchemy import Engine

from liber_tasks.backbones.by_name import BACKBONES
from liber_tasks.config import Settings
from liber_tasks.fusion.model import build
from liber_tasks.fusion.options import MEAN, OPTIONS
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.evaluate import log_loss
from liber_tasks.training.fit import Fitted, fit, predict
from liber_tasks.training.load import load
from liber_tasks.training.parts import FIT, TEST, VALIDATION
from tests.serving.world import World
from tests.training.data import SMALL, fill

ALL = tuple(option for option in OPTIONS if option != MEAN)


@pytest.fixture
def dataset(engine: Engine, settings: Settings) -> Dataset:
    fill(engine)
    return load(engine, settings)


def _fit(dataset: Dataset, *options: str, seed: int = 0, max_epochs: int = 2, backbone: str = "din") -> Fitted:
    training = replace(SMALL, max_epochs=max_epochs, patience=max_epochs, learning_rate=1e-2)
    return fit(dataset, dataset.config(backbone, options, training), training, seed)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(dataset: Dataset) -> None:
    first, again, other = (_fit(dataset, "pooled", seed=seed) for seed in (0, 0, 1))
    for name, weight in first.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name]), name
    assert first.epochs == again.epochs
    assert first.epochs != other.epochs


def test_runs_of_a_seed_are_paired_so_a_memory_that_never_trains_changes_nothing(dataset: Dataset) -> None:
    nothing = torch.where((dataset.part == FIT).unsqueeze(1), 0, dataset.memory)
    blind = replace(dataset, memory=nothing)
    test = dataset.rows(TEST)
    assert blind.with_vector(test).any()
    none, liber = _fit(blind), _fit(blind, "pooled")
    torch.testing.assert_close(
        torch.tensor(predict(liber.model, blind, test, liber.config)),
        torch.tensor(predict(none.model, blind, test, none.config)),
    )


def test_it_learns_what_can_be_learnt_and_keeps_the_best_epoch(dataset: Dataset) -> None:
    fitted = _fit(dataset, "pooled", max_epochs=30)
    losses = [epoch.train_log_loss for epoch in fitted.epochs]
    assert losses[-1] < 0.5 < losses[0]
    assert fitted.validation.log_loss == min(epoch.log_loss for epoch in fitted.epochs)
    held_out = dataset.rows(VALIDATION)
    kept = log_loss(dataset.label[held_out].numpy(), predict(fitted.model, dataset, held_out, fitted.config))
    assert kept == pytest.approx(fitted.validation.log_loss)


def test_it_stops_once_validation_has_been_worse_for_long_enough(dataset: Dataset) -> None:
    training = replace(SMALL, max_epochs=60, patience=2, learning_rate=3e-2)
    fitted = fit(dataset, dataset.config("din", (), training), training, 0)
    assert len(fitted.epochs) == fitted.best_epoch + 2 < 60


@pytest.mark.parametrize("backbone", BACKBONES)
def test_training_moves_every_weight_of_every_backbone(world: World, backbone: str) -> None:
    fitted = _fit(world.dataset, *ALL, backbone=backbone, max_epochs=1)
    torch.manual_seed(0)
    fresh = dict(build(fitted.config, world.dataset.vocabulary).named_parameters())
    still = [name for name, weight in fitted.model.named_parameters() if torch.equal(weight, fresh[name])]
    assert still == []


@pytest.mark.parametrize("option", OPTIONS)
def test_each_option_alone_trains_and_counts(world: World, option: str) -> None:
    dataset, test = world.dataset, world.dataset.rows(TEST)
    bare, with_it = _fit(dataset), _fit(dataset, option)
    probability = predict(with_it.model, dataset, test, with_it.config)
    assert ((probability > 0) & (probability < 1)).all()
    assert abs(probability - predict(bare.model, dataset, test, bare.config)).max() > 1e-4


def test_vectors_are_scaled_by_those_that_training_sees(dataset: Dataset) -> None:
    model = _fit(dataset, "pooled").model
    seen = {n for row in dataset.rows(FIT) for n in range(*dataset.memory[row].tolist())}
    assert 0 < len(seen) < len(dataset.vectors)
    used = dataset.vectors[sorted(seen)] * model.scale
    assert float(used.square().mean().sqrt()) == pytest.approx(1, rel=1e-4)


def test_numbers_are_standardised_by_those_that_training_sees(world: World) -> None:
    dataset = world.dataset
    model = _fit(dataset, "dense_profile", "statistics").model
    columns = [n for n, name in enumerate(dataset.dense_names) if name.startswith(("dense_profile.", "statistics."))]
    seen = dataset.dense[dataset.rows(FIT)][:, columns]
    scaled = (seen - model.dense_mean) * model.dense_scale
    torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(len(columns)), atol=1e-4, rtol=0)
    varies = seen.std(dim=0) > 1e-6
    assert varies.any()
    torch.testing.assert_close(scaled.std(dim=0)[varies], torch.ones(int(varies.sum())), atol=1e-3, rtol=0)
