"""Training and serving give one sample the same score, whatever the model reads and wherever it reads it."""

from pathlib import Path

import numpy as np
import pytest

from liber_tasks.fusion.options import MEAN, OPTIONS
from liber_tasks.training.fit import predict
from liber_tasks.training.load import load
from liber_tasks.training.parts import TEST
from tests.serving.world import World, bundled, fitted, served

ALL = tuple(option for option in OPTIONS if option != MEAN)
CASES = [(), *((option,) for option in OPTIONS), ALL]


@pytest.mark.parametrize("options", CASES, ids=lambda options: "+".join(options) or "bare")
def test_from_the_database(world: World, dsn: str, tmp_path: Path, options: tuple[str, ...]) -> None:
    model = fitted(world.dataset, *options)
    rows = world.dataset.rows(TEST)
    expected = predict(model.model, world.dataset, rows, model.config)
    found = served(tmp_path, model, world.dataset).predict(None, world.samples(rows))
    np.testing.assert_allclose(found["probability"], expected, atol=1e-5)
    assert found["known_user"].all()
    assert found["known_item"].all()
    assert expected.std() > 0.01


@pytest.mark.parametrize("options", [(), ("pooled",), ALL], ids=lambda options: "+".join(options) or "bare")
def test_from_the_bundle_while_it_holds_the_whole_past(world: World, tmp_path: Path, options: tuple[str, ...]) -> None:
    dataset = load(world.engine, world.settings, options)  # 50 behaviours and 32 partitions: all there are
    model = fitted(dataset, *options)
    rows = dataset.rows(TEST)
    found = bundled(world, tmp_path, model, dataset).predict(None, world.samples(rows))
    np.testing.assert_allclose(found["probability"], predict(model.model, dataset, rows, model.config), atol=1e-5)


def test_now_the_bundle_and_the_database_say_the_same(world: World, dsn: str, tmp_path: Path) -> None:
    model = fitted(world.dataset, *ALL)  # reads the latest few only
    pairs = world.samples(world.dataset.rows(TEST)).drop(columns="time")
    from_database = served(tmp_path / "bare", model, world.dataset).predict(None, pairs)
    from_bundle = bundled(world, tmp_path, model, world.dataset).predict(None, pairs)
    np.testing.assert_allclose(from_bundle["probability"], from_database["probability"], atol=1e-6)


@pytest.mark.parametrize("backbone", ["deepfm", "dien"])
def test_of_other_backbones(world: World, dsn: str, tmp_path: Path, backbone: str) -> None:
    model = fitted(world.dataset, "pooled", backbone=backbone)
    rows = world.dataset.rows(TEST)[::5]
    found = served(tmp_path, model, world.dataset).predict(None, world.samples(rows))
    np.testing.assert_allclose(found["probability"], predict(model.model, world.dataset, rows, model.config), atol=1e-5)
