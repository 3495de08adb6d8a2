"""Training and serving give one sample the same score, whatever the model reads and wherever it reads it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.fusion.options import MEAN, OPTIONS
from liber_tasks.training.fit import predict
from liber_tasks.training.load import load
from liber_tasks.training.parts import TEST
from tests.serving.world import World, add_text_vectors, bundled, fitted, served
from tests.training.data import as_plays, fill

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


@pytest.mark.parametrize("source", ["database", "bundle"])
def test_of_plays_by_the_rule_the_model_was_trained_under(
    engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """Ratings, plays with and without a known duration, and plays that say nothing; a service knows no LIBER_DOMAIN."""
    fill(engine, plays=True)
    as_plays(engine, share=0.6)
    add_text_vectors(engine)
    world = World(engine, settings, load(engine, settings.model_copy(update={"domain": "music"}), ALL))
    model = fitted(world.dataset, *ALL)
    rows = world.dataset.rows(TEST)
    expected = predict(model.model, world.dataset, rows, model.config)
    monkeypatch.setenv("LIBER_READER_DATABASE_URL", world.url)
    monkeypatch.setenv("LIBER_DOMAIN", "movies")
    dataset = world.dataset
    made = bundled(world, tmp_path, model, dataset) if source == "bundle" else served(tmp_path, model, dataset)
    np.testing.assert_allclose(made.predict(None, world.samples(rows))["probability"], expected, atol=1e-5)
    assert set(dataset.event_response.tolist()) == {1, 3, 4, 5}
    assert expected.std() > 0.01
    if source == "database":  # it is the rule that was read: without it the scores are others
        made.config = replace(made.config, feedback=None)
        del made.source
        assert not np.allclose(made.predict(None, world.samples(rows))["probability"], expected, atol=1e-3)


def test_a_database_without_the_function_says_what_to_do(
    engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(engine)
    world = World(engine, settings, load(engine, settings))
    with engine.begin() as connection:
        connection.execute(text("DROP FUNCTION liber.implied_rating"))
    monkeypatch.setenv("LIBER_READER_DATABASE_URL", world.url)
    model = served(tmp_path, fitted(world.dataset), world.dataset)
    with pytest.raises(MlflowException, match="lacks a function that this model reads by: run the `liber init-db` of"):
        model.predict(None, world.samples(world.dataset.rows(TEST)[:2]))
