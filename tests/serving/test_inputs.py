"""The rows a served model reads: what is checked, and what a row may bring itself."""

import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import pytest

from liber_tasks.errors import InputError
from liber_tasks.fusion.options import COMPARED
from liber_tasks.serving.inputs import COLUMNS, example, read
from liber_tasks.serving.past import behaviors_read, from_row
from liber_tasks.serving.pyfunc import ClickModel
from tests.serving.world import World, fitted, served

ALL = ("pooled", "target_attention", "dense_profile", "lexical_profile", "words", "genre", "affinity", "statistics")


@pytest.fixture(scope="module")
def model(world: World, tmp_path_factory: pytest.TempPathFactory) -> ClickModel:
    return served(tmp_path_factory.mktemp("model"), fitted(world.dataset, *ALL), world.dataset)


def _row(**changes: object) -> pd.DataFrame:
    row = {"user_id": "u1", "item_id": "i2", "age": 30.0, "gender": "M", "occupation": "o1",
           "genres": ["Action"], "year": 1990.0,
           "history_item_ids": ["i1", "new", "i1"], "history_ratings": [5.0, math.nan, 1.0],
           "partition_vectors": [[0.01] * 4, [0.02] * 4],
           "partition_item_ids": [["i1"], ["i2", "i3"]], "partition_ratings": [[5.0], [1.0, None]]}  # fmt: skip
    return pd.DataFrame([row | changes])


def _score(model: ClickModel, frame: pd.DataFrame) -> float:
    return float(model.predict(None, frame)["probability"].iloc[0])


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2024-01-01T12:00:00Z", datetime(2024, 1, 1, 12, tzinfo=UTC)),
        ("2024-01-01T12:00:00.5+02:00", datetime(2024, 1, 1, 10, 0, 0, 500_000, tzinfo=UTC)),
        (datetime(2024, 1, 1, 12, tzinfo=timezone(timedelta(hours=2))), datetime(2024, 1, 1, 10, tzinfo=UTC)),
        (pd.Timestamp("2024-01-01T12:00:00.000000001Z"), datetime(2024, 1, 1, 12, 0, 0, 1, tzinfo=UTC)),
        (None, None),
        ("", None),
        (pd.NaT, None),
    ],
)
def test_a_time_is_a_moment_or_now(value: object, moment: datetime | None) -> None:
    assert read(pd.DataFrame({"user_id": ["u"], "item_id": ["i"], "time": [value]})).moments == [moment]


def test_zones_may_be_mixed_within_a_request() -> None:
    times = ["2024-01-01T12:00:00Z", "2024-01-01T14:00:00+02:00", datetime(2024, 1, 1, 12, tzinfo=UTC)]
    found = read(pd.DataFrame({"user_id": "u", "item_id": "i", "time": pd.Series(times, dtype=object)})).moments
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ("2024-01-01T12:00:00", "Row 1: time is 2024-01-01T12:00:00, without a zone"),
        (datetime(2024, 1, 1), "Row 1: time is 2024-01-01T00:00:00, without a zone"),
        ("yesterday", "Row 1: time is 'yesterday': write ISO 8601"),
        (1_700_000_000, "Row 1: time is 1700000000: write ISO 8601"),
    ],
)
def test_what_is_no_moment_is_refused_by_row(time: object, message: str) -> None:
    frame = pd.DataFrame({"user_id": "u", "item_id": "i", "time": pd.Series(["2024-01-01T12:00:00Z", time])})
    with pytest.raises(InputError, match=message):
        read(frame)


def test_ids_are_text() -> None:
    with pytest.raises(InputError, match=r"Row 1: item_id is None"):
        read(pd.DataFrame({"user_id": ["u", "u"], "item_id": ["i", None]}))
    with pytest.raises(InputError, match=r"Row 0: user_id is 1"):
        read(pd.DataFrame({"user_id": [1], "item_id": ["i"]}))
    with pytest.raises(InputError, match=r"Row 0: user_id is 'a\\x00'"):
        read(pd.DataFrame({"user_id": ["a\0"], "item_id": ["i"]}))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match="lacks the column 'item_id'"):
        read(pd.DataFrame({"user_id": ["u"]}))


def test_a_history_in_the_row_is_read_in_place_of_a_look_up(model: ClickModel) -> None:
    past = from_row(read(_row()), 0, model.catalogue, model.config)
    known = model.catalogue.row_of
    assert past.item.tolist() == [known["i1"], 0, known["i1"]]
    assert past.response.tolist() == [4, 5, 0]
    assert past.vectors[:, 0].tolist() == pytest.approx([0.01, 0.02])
    assert past.partition.tolist() == [0, 1, 1]
    assert past.partition_response.tolist() == [4, 0, 5]
    assert 0 < _score(model, _row()) < 1


def test_only_the_latest_of_a_given_past_are_read(model: ClickModel) -> None:
    long = {"history_item_ids": [f"i{n}" for n in range(1, 21)], "history_ratings": [5.0, 1.0] * 10,
            "partition_vectors": [[0.001 * n] * 4 for n in range(20)],
            "partition_item_ids": [[f"i{n}"] for n in range(1, 21)],
            "partition_ratings": [[5.0], [1.0]] * 10}  # fmt: skip
    limits = {name: behaviors_read(model.config) if name.startswith("history") else model.config.max_partitions
              for name in long}  # fmt: skip
    latest = {name: values[-limits[name] :] for name, values in long.items()}
    score = [_score(model, _row(**given)) for given in (long, latest)]
    assert score[0] == pytest.approx(score[1], abs=1e-6)


def test_attributes_in_the_row_win_over_those_of_training(model: ClickModel) -> None:
    stored = _row(item_id="i2").drop(columns=["genres", "year", "age", "gender", "occupation"])
    as_stored = _row(item_id="i2", genres=["Drama"], year=1982.0).drop(columns=["age", "gender", "occupation"])
    other = _row(item_id="i2", genres=["Comedy"], year=1982.0).drop(columns=["age", "gender", "occupation"])
    scores = [_score(model, frame) for frame in (stored, as_stored, other)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-7)
    assert scores[0] != pytest.approx(scores[2], abs=1e-4)
    young, old = (_score(model, _row(age=age)) for age in (10.0, 70.0))
    assert young != pytest.approx(old, abs=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"history_ratings": [5.0]}, "Row 0: history_item_ids has 3 values, history_ratings 1"),
        ({"history_ratings": None}, "Row 0: history_item_ids has 3 values, history_ratings 0"),
        ({"history_ratings": ["a", 1, 1]}, "Row 0: history_ratings holds something that is no number"),
        ({"partition_vectors": None}, "Row 0: it brings its own history but no partition_vectors"),
        ({"partition_vectors": [[1.0]]}, "Row 0: partition_vectors holds a vector of 1 numbers, the model reads 4"),
        ({"partition_item_ids": None}, "Row 0: it brings its own history but no partition_item_ids"),
        ({"partition_ratings": [[1.0]]}, "Row 0: partition_item_ids has 2 lists, partition_ratings 1"),
        ({"partition_ratings": [[1.0], [1.0]]}, "Row 0: partition_item_ids has 2 values, partition_ratings 1"),
    ],
)
def test_lists_that_do_not_fit_are_named(model: ClickModel, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_row(read(_row(**changes)), 0, model.catalogue, model.config)


def test_a_model_reads_only_what_its_options_ask_for(world: World, tmp_path: Path) -> None:
    bare = served(tmp_path, fitted(world.dataset), world.dataset)
    history = _row().drop(columns=["partition_vectors", "partition_item_ids", "partition_ratings"])
    assert 0 < _score(bare, history) < 1
    assert not bare.catalogue.views
    assert bare.catalogue.target.shape[1] == 0
    assert not bare.catalogue.snapshot.rated.size
    assert set(world.dataset.views) == set(COMPARED)


def test_the_example_is_a_valid_input_that_needs_no_database(model: ClickModel) -> None:
    frame = example(model.catalogue.vocabulary, model.config)
    assert set(frame) <= {column.name for column in COLUMNS}
    assert model.predict(None, frame)["probability"].between(0, 1).all()
