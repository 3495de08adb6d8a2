"""A user is fused once for all requests, and what is kept is never older than their past."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.fusion.options import GENRE, MEAN, OPTIONS
from liber_tasks.serving.catalogue import Versions
from liber_tasks.serving.database import Database
from liber_tasks.serving.fused import FusedVectors
from liber_tasks.serving.past import UserPast
from liber_tasks.serving.pyfunc import ClickModel
from liber_tasks.training.load import load
from tests.serving.world import World, bundled, fitted, served
from tests.training.data import START, VECTOR, fill, insert, keys

ALL = tuple(option for option in OPTIONS if option != MEAN)
PAIRS = pd.DataFrame([(f"u{n % 9}", f"i{n}") for n in range(27)], columns=["user_id", "item_id"])


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _fusings(model: ClickModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many memories are fused each time, from here on."""
    seen: list[int] = []
    fuse = model.model.fused
    monkeypatch.setattr(model.model, "fused", lambda *given: (seen.append(len(given[1])), fuse(*given))[1])
    return seen


def _scores(model: ClickModel, pairs: pd.DataFrame = PAIRS) -> np.ndarray:
    return model.predict(None, pairs)["probability"].to_numpy()


@pytest.mark.parametrize("options", [("pooled",), (MEAN,), ALL], ids="+".join)
@pytest.mark.parametrize("backbone", ["din", "dcn", "deepfm"])
def test_a_warm_request_fuses_nobody_and_scores_the_same(
    world: World, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Sequence[str], backbone: str
) -> None:
    model = served(tmp_path, fitted(world.dataset, *options, backbone=backbone), world.dataset)
    seen = _fusings(model, monkeypatch)
    cold, warm = _scores(model), _scores(model)
    assert seen == [9]
    alone = np.concatenate([_scores(model, PAIRS[row : row + 1]) for row in range(len(PAIRS))])
    assert seen == [9]
    model.fuse = None  # the model fuses, in every request
    whole = _scores(model)
    assert seen == [9, 9]
    for found in (cold, warm, alone):
        np.testing.assert_allclose(found, whole, atol=1e-6)


def test_users_of_a_request_that_are_not_kept_are_fused_together(
    world: World, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = served(tmp_path, fitted(world.dataset, "pooled"), world.dataset)
    seen = _fusings(model, monkeypatch)
    some = _scores(model, PAIRS[PAIRS["user_id"].isin(["u0", "u3", "u4"])])
    whole = _scores(model)
    assert seen == [3, 6]
    np.testing.assert_allclose(whole[PAIRS["user_id"].isin(["u0", "u3", "u4"])], some, atol=1e-6)


def test_a_moment_that_is_given_is_fused_as_of_it(
    world: World, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = served(tmp_path, fitted(world.dataset, "pooled"), world.dataset)
    _scores(model)
    seen = _fusings(model, monkeypatch)
    early = PAIRS.assign(time=(START + timedelta(minutes=1)).isoformat())
    assert (_scores(model, early) != _scores(model)).any()
    _scores(model, early)
    assert seen == [9, 9]


def test_a_model_that_pools_nothing_keeps_nothing(world: World, dsn: str, tmp_path: Path) -> None:
    model = served(tmp_path, fitted(world.dataset, "target_attention"), world.dataset)
    assert model.fuse is None
    assert len(_scores(model)) == len(PAIRS)


def test_a_bundle_fuses_a_past_once(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = bundled(world, tmp_path, fitted(world.dataset, "pooled"), world.dataset)
    seen = _fusings(model, monkeypatch)
    cold, warm = _scores(model), _scores(model)
    early = PAIRS.assign(time=(START + timedelta(minutes=60)).isoformat())
    before = _scores(model, early)
    np.testing.assert_array_equal(_scores(model, early), before)
    assert seen[0] == 9
    assert len(seen) == 2  # of the second moment, those who have other pasts then
    np.testing.assert_array_equal(cold, warm)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def changing(
    engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> ClickModel:
    """A model over a database that the test may change."""
    fill(engine)
    monkeypatch.setenv("LIBER_READER_DATABASE_URL", settings.require("database_url"))
    model = served(tmp_path, fitted(load(engine, settings), "pooled"), load(engine, settings))
    model.source = Database(model.catalogue, model.config, Versions.load(model.folder), timer=clock)
    return model


def _seal(engine: Engine, user: str) -> None:
    """One more partition, with a vector."""
    key, at = keys(engine, "user")[user], START + timedelta(days=1)
    insert(engine, "behavior_partition", ("user_key", "partition_no", "first_seq", "last_seq", "n_behaviors",
                                          "started_at", "ended_at", "sealed_at", "reason"),
           [(key, 5, 21, 24, 4, at, at, at, "count")])  # fmt: skip
    insert(engine, "interest_vector", VECTOR, [(key, 5, "e1", "k1", "[0.03,-0.02,0.04,0.01]")])


def test_a_new_partition_changes_the_score_as_soon_as_the_past_is_read_again(
    changing: ClickModel, engine: Engine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _scores(changing)
    _seal(engine, "u1")
    clock.now = 29.0
    np.testing.assert_array_equal(_scores(changing), before)
    clock.now = 31.0
    seen = _fusings(changing, monkeypatch)
    after = _scores(changing)
    assert seen == [9]
    moved = PAIRS["user_id"].eq("u1").to_numpy()
    assert (after != before)[moved].all()
    np.testing.assert_allclose(after[~moved], before[~moved], atol=1e-6)
    changing.fuse = None
    np.testing.assert_allclose(_scores(changing), after, atol=1e-6)


def test_a_vector_made_anew_changes_the_score_though_the_number_of_partitions_is_the_same(
    changing: ClickModel, engine: Engine, clock: Clock
) -> None:
    before = _scores(changing)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE liber.interest_vector SET vector = vector * '[-2,3,-1,2]'")
    clock.now = 31.0
    after = _scores(changing)
    with_vectors = PAIRS["user_id"].isin([f"u{u}" for u in range(9) if u % 4 < 3]).to_numpy()
    assert (after != before)[with_vectors].all()


def test_what_is_kept_of_a_user_goes_with_their_past(changing: ClickModel, clock: Clock) -> None:
    _scores(changing)
    assert isinstance(changing.fuse, FusedVectors)
    assert len(changing.fuse.kept) == 9
    clock.now = 31.0
    _scores(changing, PAIRS[:1])
    assert len(changing.fuse.kept) == 1


def test_profiles_of_partitions_are_made_once_and_go_with_the_past(
    changing: ClickModel, engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
) -> None:  # fmt: skip
    dataset = load(engine, settings, (GENRE,))
    model = served(tmp_path / "genre", fitted(dataset, GENRE), dataset)
    model.source = Database(model.catalogue, model.config, Versions.load(model.folder), timer=clock)
    cold = _scores(model)
    assert len(model.profiled.kept) == 9
    with monkeypatch.context() as patch:
        patch.setattr(model.profiled.kept, "_make", lambda pasts: pytest.fail("made anew"))
        np.testing.assert_array_equal(_scores(model), cold)
        mixed = PAIRS.sample(frac=1, random_state=0)
        np.testing.assert_allclose(_scores(model, mixed), cold[mixed.index], atol=1e-6)
    clock.now = 31.0
    _scores(model, PAIRS[:1])
    assert len(model.profiled.kept) == 1


def test_threads_get_the_scores_that_one_would(changing: ClickModel, engine: Engine, clock: Clock) -> None:
    expected = _scores(changing)

    def ask(number: int) -> np.ndarray:
        clock.now = 31.0 * number  # every request finds the pasts of others too old
        return _scores(changing)

    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(ask, range(1, 65)):
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_one_past_given_twice_has_one_vector(world: World, dsn: str, tmp_path: Path) -> None:
    model = served(tmp_path, fitted(world.dataset, "pooled"), world.dataset)
    past: UserPast = model.source.users([("u1", None)])[0]
    assert isinstance(model.fuse, FusedVectors)
    rows = model.fuse([past, past])
    assert rows.shape == (2, model.config.embedding_size)
    assert rows[0].equal(rows[1])
