"""What a served model reads from the database: when, how often, and what it does where something is not there."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy import Engine, event

from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError, ServiceUnavailable
from liber_tasks.serving.catalogue import Versions
from liber_tasks.serving.database import Database
from liber_tasks.serving.past import UserPast, behaviors_read
from liber_tasks.serving.pyfunc import ClickModel
from liber_tasks.training.load import load
from tests.conftest import free_port
from tests.serving.world import World, fitted, served
from tests.training.data import START, fill, insert, keys, versions

ALL = ("pooled", "target_attention", "dense_profile", "lexical_profile", "words", "genre", "affinity", "statistics")


@pytest.fixture
def model(world: World, dsn: str, tmp_path: Path) -> ClickModel:
    return served(tmp_path, fitted(world.dataset, *ALL), world.dataset)


@pytest.fixture
def changing(engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClickModel:
    """A model over a database that the test may change."""
    fill(engine)
    monkeypatch.setenv("LIBER_DATABASE_URL", settings.require("database_url"))
    dataset = load(engine, settings)
    return served(tmp_path, fitted(dataset, "pooled"), dataset)


def _ask(model: ClickModel, user: str = "u1", item: str = "i3", time: object = None) -> float:
    frame = pd.DataFrame({"user_id": [user], "item_id": [item], "time": [time]})
    return float(model.predict(None, frame)["probability"].iloc[0])


def _past(model: ClickModel, user: str, at: datetime | None) -> UserPast:
    return model.source.users([(user, at)])[0]


def _statements(model: ClickModel) -> list[str]:
    """Every statement from here on."""
    assert isinstance(model.source, Database)
    seen: list[str] = []
    event.listen(model.source._engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
    return seen


def _behave(engine: Engine, user: str, at: datetime) -> None:
    key, item = keys(engine, "user")[user], keys(engine, "item")["i3"]
    insert(engine, "behavior", ("user_key", "seq", "item_key", "event_time", "effective_time", "rating", "kind",
                                "event_id"), [(key, 99, item, at, at, 1.0, "rating", "late")])  # fmt: skip


def test_only_what_is_strictly_earlier_is_read(world: World, model: ClickModel) -> None:
    with world.engine.connect() as connection:
        cursor = connection.connection.cursor()
        cursor.execute("SELECT event_time FROM liber.behavior JOIN liber.user_profile USING (user_key) "
                       "WHERE user_id = 'u1' ORDER BY event_time, seq")  # fmt: skip
        times = [row[0] for row in cursor.fetchall()]
    tied = next(t for n, t in enumerate(times[2:6], 2) if t in times[:n])
    assert len(_past(model, "u1", tied).item) == sum(t < tied for t in times)
    after = tied + timedelta(microseconds=1)
    assert len(_past(model, "u1", after).item) == min(sum(t <= tied for t in times), behaviors_read(model.config))
    sealing = times[9]  # of the second partition of five
    before, later = _past(model, "u1", sealing), _past(model, "u1", sealing + timedelta(microseconds=1))
    assert (len(before.vectors), before.partitions, len(before.partition_item)) == (1, 1, 5)
    assert (len(later.vectors), later.partitions, len(later.partition_item)) == (2, 2, 10)


def test_a_request_is_one_look_up_however_many_rows(world: World, model: ClickModel) -> None:
    _ask(model)
    seen = _statements(model)
    pairs = [(f"u{n % 20}", f"i{n % 30}") for n in range(300)]
    model.predict(None, pd.DataFrame(pairs, columns=["user_id", "item_id"]))
    assert len(seen) == 1
    with_new_items = pd.DataFrame({"user_id": "u1", "item_id": [f"new{n}" for n in range(50)]})
    model.predict(None, with_new_items)
    assert len(seen) == 2
    model.predict(None, with_new_items)  # nobody asks again who is not there
    assert len(seen) == 2


def test_one_request_may_ask_for_several_moments_of_a_user(world: World, model: ClickModel) -> None:
    moments = [START + timedelta(minutes=minute) for minute in (0, 20, 30, 45)]
    frame = pd.DataFrame({"user_id": "u1", "item_id": "i3", "time": moments})
    together = model.predict(None, frame)["probability"].tolist()
    assert together == pytest.approx([_ask(model, time=moment) for moment in moments], abs=1e-6)
    assert len({round(score, 6) for score in together}) > 2


def test_the_present_is_kept_for_as_long_as_documented(changing: ClickModel, engine: Engine) -> None:
    now = [0.0]
    changing.source = Database(
        changing.catalogue, changing.config, Versions.load(changing.folder), timer=lambda: now[0]
    )
    before = _ask(changing)
    _behave(engine, "u1", START + timedelta(days=1))
    now[0] = 29.0
    assert _ask(changing) == before
    assert _ask(changing, time="2030-01-01T00:00:00Z") != before  # a moment that is given is looked up
    now[0] = 31.0
    assert _ask(changing) != before


@pytest.mark.parametrize("name", ["LIBER_SERVING_CACHE_SECONDS", "LIBER_SERVING_CACHE_USERS"])
def test_nothing_is_kept_where_the_cache_is_off(
    changing: ClickModel, engine: Engine, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "0")
    before = _ask(changing)
    _behave(engine, "u1", START + timedelta(days=1))
    assert _ask(changing) != before


def test_no_more_users_are_kept_than_allowed(world: World, model: ClickModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBER_SERVING_CACHE_USERS", "2")
    for user in ("u1", "u2", "u3"):
        _ask(model, user)
    seen = _statements(model)
    _ask(model, "u3")
    _ask(model, "u2")
    assert len(seen) == 0
    _ask(model, "u1")
    assert len(seen) == 1


def test_what_nobody_knows_is_new_and_the_answer_says_so(world: World, model: ClickModel) -> None:
    frame = pd.DataFrame({"user_id": ["u1", "nobody", "u1", "nobody"], "item_id": ["i3", "i3", "new", "new"]})
    found = model.predict(None, frame)
    assert found["known_user"].tolist() == [True, False, True, False]
    assert found["known_item"].tolist() == [True, True, False, False]
    assert found["probability"].between(0, 1).all()
    as_new = frame.assign(user_id="somebody else", item_id=["i3", "i3", "newer", "newer"])
    assert found["probability"][1::2].tolist() == model.predict(None, as_new)["probability"][1::2].tolist()


def test_an_item_added_after_training_is_known_by_its_attributes(changing: ClickModel, engine: Engine) -> None:
    insert(engine, "item", ("item_id", "title", "attributes"), [("fresh", "Fresh", '{"genres": ["Action"]}')])
    found = changing.predict(None, pd.DataFrame({"user_id": "u1", "item_id": ["fresh", "staler"]}))
    assert found["known_item"].tolist() == [True, False]
    assert found["probability"][0] != found["probability"][1]


def test_a_user_without_a_partition_is_scored(world: World, model: ClickModel) -> None:
    first = START + timedelta(minutes=1)
    past = _past(model, "u0", first)
    assert (len(past.vectors), past.partitions) == (0, 0)
    assert 0 < _ask(model, "u0", time=first) < 1


def test_an_erased_user_is_a_new_one(changing: ClickModel, engine: Engine) -> None:
    known = _ask(changing, "u1")
    assert changing.catalogue.vocabulary.users["u1"]
    with engine.begin() as connection:
        for table in ("interest_vector", "behavior_partition", "behavior", "user_profile"):
            connection.exec_driver_sql(
                f"DELETE FROM liber.{table} WHERE user_key = {keys(engine, 'user')['u2']}"  # noqa: S608
            )
    assert _ask(changing, "u2") == _ask(changing, "nobody")
    assert _ask(changing, "u1") == known


def test_duplicates_get_one_score_and_rows_keep_order_and_index(world: World, model: ClickModel) -> None:
    frame = pd.DataFrame({"user_id": ["u1", "u2", "u1"], "item_id": ["i3", "i4", "i3"]}, index=["a", "b", "a"])
    found = model.predict(None, frame)
    assert found.index.tolist() == ["a", "b", "a"]
    assert found["probability"].iloc[0] == found["probability"].iloc[2] != found["probability"].iloc[1]


def test_no_rows_give_no_rows(world: World, model: ClickModel) -> None:
    found = model.predict(None, pd.DataFrame({"user_id": [], "item_id": []}))
    assert len(found) == 0
    assert list(found) == ["probability", "known_user", "known_item"]


def test_a_large_request_is_scored_in_parts(world: World, model: ClickModel, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"user_id": [f"u{n % 7}" for n in range(50)], "item_id": [f"i{n % 30}" for n in range(50)]})
    whole = model.predict(None, frame)["probability"]
    monkeypatch.setattr("liber_tasks.serving.pyfunc.BATCH", 7)
    np.testing.assert_allclose(model.predict(None, frame)["probability"], whole, atol=1e-6)


def test_vectors_of_other_versions_beside_the_models_change_nothing(changing: ClickModel, engine: Engine) -> None:
    before = _ask(changing, time="2030-01-01T00:00:00Z")
    versions(engine, "e2", "k2")
    with engine.begin() as connection:
        for encoder, knowledge in (("e1", "k2"), ("e2", "k1")):
            connection.exec_driver_sql(
                "INSERT INTO liber.interest_vector SELECT user_key, partition_no, %s, %s, '[9, 9, 9, 9]', created_at"
                " FROM liber.interest_vector WHERE encoder_version = 'e1' AND knowledge_version = 'k1'",
                (encoder, knowledge),
            )
    assert _ask(changing, time="2030-01-01T00:00:00Z") == before


def test_vectors_of_another_version_are_never_read_in_place_of_the_models(changing: ClickModel, engine: Engine) -> None:
    versions(engine, "e2", "k2")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE liber.interest_vector SET encoder_version = 'e2'")
    with pytest.raises(MlflowException, match="no interest vector of encoder e1 and knowledge k1") as error:
        _ask(changing)
    assert isinstance(error.value.__cause__, LiberError)
    assert "liber encode" in str(error.value)


def _without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBER_READER_DATABASE_URL", f"postgresql://nobody@127.0.0.1:{free_port()}/none")


def _without_a_schema(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setenv("LIBER_READER_DATABASE_URL", world.url.replace(world.settings.model_name, "postgres"))


@pytest.mark.parametrize(
    ("set_up", "message", "kind", "status"),
    [
        (lambda patch, world: patch.delenv("LIBER_READER_DATABASE_URL"),
         "LIBER_READER_DATABASE_URL is not set, and neither is LIBER_DATABASE_URL", InputError, 400),
        (lambda patch, world: patch.setenv("LIBER_READER_DATABASE_URL", "mysql://x"),
         "LIBER_READER_DATABASE_URL starts with 'mysql'", InputError, 400),
        (lambda patch, world: patch.setenv("LIBER_READER_DATABASE_URL", "no url"),
         "LIBER_READER_DATABASE_URL is not a URL", InputError, 400),
        (lambda patch, world: patch.setenv("LIBER_SERVING_CONNECTIONS", "many"),
         "LIBER_SERVING_CONNECTIONS is 'many': write a whole number from 1 on", InputError, 400),
        (lambda patch, world: _without_a_server(patch), "PostgreSQL cannot do this", ServiceUnavailable, 503),
        (lambda patch, world: _without_a_schema(patch, world), "no LIBER schema", LiberError, 500),
    ],
    ids=["no DSN", "another database", "no URL", "no number", "no server", "no schema"],
)  # fmt: skip
def test_what_is_not_there_is_named_with_what_to_do(
    world: World, model: ClickModel, monkeypatch: pytest.MonkeyPatch,
    set_up: Callable[[pytest.MonkeyPatch, World], None], message: str, kind: type[Exception], status: int,
) -> None:  # fmt: skip
    monkeypatch.delenv("LIBER_DATABASE_URL", raising=False)
    set_up(monkeypatch, world)
    with pytest.raises(MlflowException, match=message) as error:
        _ask(model)
    assert type(error.value.__cause__) is kind
    assert error.value.get_http_status_code() == status


def test_a_server_that_was_restarted_costs_no_request(world: World, model: ClickModel) -> None:
    expected = _ask(model, time=START)
    with world.engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                   "WHERE datname = current_database() AND pid <> pg_backend_pid()")  # fmt: skip
    assert _ask(model, time=START) == expected


def test_a_role_that_may_only_read_is_enough(world: World, model: ClickModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBER_READER_DATABASE_URL", world.url.replace("//postgres:", "//liber_reader:"))
    assert _ask(model) > 0
    assert model.source._engine.url.username == "liber_reader"  # type: ignore[attr-defined]
