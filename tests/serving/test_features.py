from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from liber_tasks.errors import InputError
from liber_tasks.serving.features import features
from liber_tasks.serving.inputs import COLUMNS
from tests.training.data import START, fill


@pytest.fixture
def filled(engine: Engine) -> Engine:
    fill(engine)
    return engine


def _times(engine: Engine, user: str) -> list[datetime]:
    with engine.connect() as connection:
        statement = text("SELECT event_time FROM liber.behavior JOIN liber.user_profile USING (user_key) "
                         "WHERE user_id = :user ORDER BY 1")  # fmt: skip
        return list(connection.execute(statement, {"user": user}).scalars())


def test_the_columns_are_those_the_model_documents(filled: Engine) -> None:
    frame = features(filled, ["u1", "u2"], ["i3", "i4"])
    assert list(frame.columns) == [column.name for column in COLUMNS]
    assert frame["user_id"].tolist() == ["u1", "u2"]
    assert frame["genres"].tolist() == [["Action"], ["Comedy"]]
    assert frame["year"].tolist() == [1983, 1984]
    assert frame["age"].tolist() == [21, 22]


def test_only_what_is_strictly_earlier_is_read(filled: Engine) -> None:
    times = _times(filled, "u1")
    tied = next(t for n, t in enumerate(times[5:], 5) if t == times[n - 1])
    row = features(filled, ["u1"], ["i3"], tied).iloc[0]
    assert len(row["history_item_ids"]) == len(row["history_ratings"]) == sum(t < tied for t in times)
    after = features(filled, ["u1"], ["i3"], tied + timedelta(microseconds=1)).iloc[0]
    assert len(after["history_item_ids"]) == sum(t <= tied for t in times)
    sealing = times[9]  # of the second partition of five
    assert len(features(filled, ["u1"], ["i3"], sealing).iloc[0]["partition_vectors"]) == 1
    later = features(filled, ["u1"], ["i3"], sealing + timedelta(microseconds=1)).iloc[0]["partition_vectors"]
    assert len(later) == 2
    assert {len(vector) for vector in later} == {4}


def test_without_a_moment_all_is_read_and_the_latest_kept(filled: Engine) -> None:
    row = features(filled, ["u1"], ["i3"]).iloc[0]
    assert len(row["history_item_ids"]) == 24
    kept = features(filled, ["u1"], ["i3"], max_history=3, max_partitions=1).iloc[0]
    assert kept["history_item_ids"] == row["history_item_ids"][-3:]
    assert kept["partition_vectors"] == row["partition_vectors"][-1:]


def test_vectors_of_another_version_are_not_read(filled: Engine) -> None:
    row = features(filled, ["u1"], ["i3"], encoder_version="other", knowledge_version="k1").iloc[0]
    assert row["partition_vectors"] == []


def test_an_unknown_user_is_new(filled: Engine) -> None:
    row = features(filled, ["nobody"], ["i3"]).iloc[0]
    assert row["history_item_ids"] == row["history_ratings"] == row["partition_vectors"] == []
    assert row["gender"] is None


def test_wrong_input_is_named(filled: Engine) -> None:
    with pytest.raises(InputError, match="'iX'"):
        features(filled, ["u1", "u1"], ["i3", "iX"])
    with pytest.raises(InputError, match="2 user ids and 1 item ids"):
        features(filled, ["u1", "u2"], ["i3"])
    with pytest.raises(InputError, match="no time zone"):
        features(filled, ["u1"], ["i3"], START.replace(tzinfo=None))
