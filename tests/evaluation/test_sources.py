"""Vectors from elsewhere: of the same partitions, from nothing that lies behind them."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import settings as rules
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.encoder.pca import Projection
from liber_tasks.errors import InputError, LiberError
from liber_tasks.evaluation.sources import (
    Partitions,
    genre_shares,
    narrowed,
    noise,
    raw_text,
    shuffled,
    with_vectors,
)
from liber_tasks.evaluation.studies import Source
from liber_tasks.interest.behavior import Behavior
from liber_tasks.interest.wording.domain import domain
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.load import load
from tests.training.data import DIMENSION, GENRES, fill

SOURCES: tuple[Source, ...] = ("random", "raw_text", "genres", "shuffled")
USERS = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=30)


@pytest.fixture
def filled(engine: Engine, settings: Settings, tiny_bert: Path) -> Settings:
    """Settings of a database with partitions and vectors."""
    fill(engine)
    return settings.model_copy(update={"encoder": str(tiny_bert)})


def _run(engine: Engine, statement: str, **values: object) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement), values)


def _sealed_before_the_cut(engine: Engine, dataset: Dataset) -> np.ndarray:
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT p.sealed_at < :cut FROM liber.interest_vector JOIN liber.behavior_partition AS p "
                 "USING (user_key, partition_no) ORDER BY user_key, p.sealed_at, partition_no"), {"cut": dataset.cut},
        )  # fmt: skip
        return np.array([row[0] for row in rows])


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_gives_the_same_samples_other_vectors_of_the_same_partitions(
    engine: Engine, filled: Settings, source: Source
) -> None:
    dataset = load(engine, filled)
    other = with_vectors(engine, filled, dataset, source)
    assert other.vectors.shape == dataset.vectors.shape
    assert other.vectors.dtype == torch.float32
    assert not torch.equal(other.vectors, dataset.vectors)
    assert other.vectors.any(dim=1).all()  # no partition goes without
    assert other.digest != dataset.digest
    for field in fields(dataset):
        if field.name not in ("vectors", "digest", "snapshot"):
            before, after = getattr(dataset, field.name), getattr(other, field.name)
            assert torch.equal(before, after) if isinstance(before, torch.Tensor) else before == after
    assert torch.equal(with_vectors(engine, filled, dataset, source).vectors, other.vectors)


def test_the_knowledge_is_left_as_it_is(engine: Engine, settings: Settings, dataset: Dataset) -> None:
    assert with_vectors(engine, settings, dataset, "knowledge") is dataset


@pytest.mark.parametrize("source", SOURCES)
def test_what_happens_from_the_cut_on_changes_no_vector_of_before(
    engine: Engine, filled: Settings, source: Source
) -> None:
    dataset = load(engine, filled)
    before = with_vectors(engine, filled, dataset, source).vectors.numpy()
    trains = _sealed_before_the_cut(engine, dataset)
    _run(engine, "UPDATE liber.behavior SET rating = 1 + 4 * (seq % 2), item_key = 1 + (item_key + seq) % 30 "
         "WHERE event_time >= :cut", cut=dataset.cut)  # fmt: skip
    _run(engine, "UPDATE liber.interest_vector AS v SET vector = v.vector * '[2,-3,5,7]' "
         "FROM liber.behavior_partition AS p WHERE v.user_key = p.user_key AND v.partition_no = p.partition_no "
         "AND p.sealed_at >= :cut", cut=dataset.cut)  # fmt: skip
    after = with_vectors(engine, filled, load(engine, filled), source).vectors.numpy()
    assert 10 < trains.sum() < len(trains) - 5
    # an encoder's sums are rounded otherwise among other texts
    np.testing.assert_allclose(after[trains], before[trains], atol=2e-2 if source == "raw_text" else 0)
    if source != "random":
        assert np.abs(after - before)[~trains].max() > 0.03


def test_genres_are_those_of_the_partitions_own_behaviours(engine: Engine, filled: Settings) -> None:
    dataset = load(engine, filled)
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT v.user_key, v.partition_no, b.rating, i.attributes -> 'genres' ->> 0 AS genre "
                 "FROM liber.interest_vector AS v JOIN liber.behavior_partition AS p USING (user_key, partition_no) "
                 "JOIN liber.behavior AS b ON b.user_key = v.user_key AND b.seq BETWEEN p.first_seq AND p.last_seq "
                 "JOIN liber.item AS i USING (item_key) ORDER BY v.user_key, p.sealed_at, v.partition_no")
        ).all()  # fmt: skip
    of_each: dict[tuple[int, int], list[tuple[float, str | None]]] = {}
    for row in rows:
        of_each.setdefault((row.user_key, row.partition_no), []).append((row.rating, row.genre))
    expected = np.array([
        [sum(genre == name for genre in genres) / max(len(genres), 1)
         for genres in ([genre for rating, genre in said if (rating > 3) == liked] for liked in (True, False))
         for name in GENRES]
        for said in of_each.values()
    ], dtype=np.float32)  # fmt: skip
    trains = _sealed_before_the_cut(engine, dataset)
    short = Projection.fit(expected[trains], DIMENSION).transform(expected)
    found = with_vectors(engine, filled, dataset, "genres").vectors.numpy()
    np.testing.assert_allclose(found, short, atol=1e-5)


def test_raw_text_lists_a_partition_as_the_paper_does() -> None:
    partition = [Behavior("Alien (1979)", {"genres": ["Horror"]}, "rating", 5.0, None),
                 Behavior("Big \"Fish\"", {}, "play", None, 600.0)]  # fmt: skip
    assert raw_text(domain("movies"), partition) == '"Alien (1979)" 5 stars; "Big \\"Fish\\"" watched 10 minutes'
    assert raw_text(domain("movies"), []) == ""


@rules(max_examples=100, deadline=None)
@given(USERS)
def test_shuffling_permutes_the_past_and_the_rest_apart_and_gives_nobody_an_own_vector(
    partitions: list[tuple[int, bool]],
) -> None:
    user, trains = (np.array(column) for column in zip(*partitions, strict=True))
    whose = shuffled(user, trains)
    assert sorted(whose) == list(range(len(user)))
    assert (trains[whose] == trains).all()
    for part in (trains, ~trains):
        counts = np.unique(user[part], return_counts=True)[1]
        if len(counts) and 2 * counts.max() <= part.sum():
            assert (user[whose[part]] != user[part]).all()


@rules(max_examples=50, deadline=None)
@given(st.data(), st.integers(1, 6), st.integers(1, 6))
def test_what_is_fitted_knows_nothing_of_partitions_behind_the_cut(data: st.DataObject, width: int, size: int) -> None:
    trains = np.array(data.draw(st.lists(st.booleans(), min_size=2, max_size=12)))
    assume(trains.sum() >= 2)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    features, other = rng.normal(size=(2, len(trains), width)).astype(np.float32)
    vectors, changed = rng.normal(size=(2, len(trains), size)).astype(np.float32)
    other[trains], changed[trains] = features[trains], vectors[trains]
    rows = np.arange(len(trains))
    before, after = (Partitions(rows, rows, trains, each) for each in (vectors, changed))
    assert narrowed(features, size, trains).shape == (len(trains), size)
    np.testing.assert_array_equal(narrowed(features, size, trains)[trains], narrowed(other, size, trains)[trains])
    np.testing.assert_array_equal(noise(before), noise(after))


def test_noise_is_as_large_as_the_knowledge() -> None:
    vectors = np.random.default_rng(7).normal(2, 3, (400, 16)).astype(np.float32)
    found = noise(Partitions(np.arange(400), np.arange(400), np.arange(400) < 300, vectors))
    assert np.sqrt((found**2).mean()) == pytest.approx(np.sqrt((vectors[:300] ** 2).mean()), rel=0.05)
    assert abs(np.corrcoef(found.ravel(), vectors.ravel())[0, 1]) < 0.05


@rules(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=12))
def test_genre_shares_are_means_over_liked_and_over_disliked_items(partition: list[tuple[int, int]]) -> None:
    genres = np.array([[0, 0], [1, 0], [0.5, 0.5], [0, 1]])
    expected = []
    for levels in ((3, 4), (0, 1, 2)):  # liked, disliked
        items = [item for item, said in partition if said in levels]
        for genre in range(2):
            of_it = [1.0 if genres[item, genre] else 0.0 for item in items]
            expected.append(sum(of_it) / len(of_it) if of_it else 0.0)
    found = genre_shares(genres, [item for item, _ in partition], np.array([said for _, said in partition]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_too_little_to_fit_on_is_said_clearly(engine: Engine, filled: Settings) -> None:
    dataset = load(engine, filled)
    with pytest.raises(InputError, match="liber encode"):
        with_vectors(engine, filled, replace(dataset, version=None), "random")
    _run(engine, "DELETE FROM liber.interest_vector AS v USING liber.behavior_partition AS p WHERE v.user_key = "
         "p.user_key AND v.partition_no = p.partition_no AND p.sealed_at < :cut", cut=dataset.cut)  # fmt: skip
    with pytest.raises(InputError, match="LIBER_LEARN_MAX_USERS"):
        with_vectors(engine, filled, load(engine, filled), "random")


def test_vectors_that_are_no_longer_those_of_the_samples_are_refused(engine: Engine, filled: Settings) -> None:
    dataset = load(engine, filled)
    _run(engine, "UPDATE liber.interest_vector SET vector = vector * '[2,2,2,2]' WHERE partition_no = 1")
    with pytest.raises(LiberError, match="run the command again"):
        with_vectors(engine, filled, dataset, "genres")
