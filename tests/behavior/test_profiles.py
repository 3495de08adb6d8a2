"""Promises of ingesting items and users."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from liber_tasks import db
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from tests.behavior import state
from tests.behavior.files import behavior, write_csv, write_jsonl


def test_profiles_are_written_only_when_they_change(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    items = [{"item_id": "i1", "title": "Heat", "year": 1995, "genres": ["Crime"]}, {"item_id": "i2", "title": None}]
    first = ingest(engine, settings, [write_jsonl(tmp_path / "1.jsonl", items)], kind="items")
    stamps = dict(state.rows(engine, "SELECT item_id, updated_at FROM liber.item"))
    items[0]["year"] = 1996
    second = ingest(engine, settings, [write_jsonl(tmp_path / "2.jsonl", items)], kind="items")
    assert [(r.accepted, r.duplicates) for r in (first, second)] == [(2, 0), (1, 1)]
    assert state.everything(engine)["profiles"] == [
        ("item", "i1", "Heat", {"year": 1996, "genres": ["Crime"]}), ("item", "i2", None, {}),
    ]  # fmt: skip
    changed = {i for i, at in state.rows(engine, "SELECT item_id, updated_at FROM liber.item") if at != stamps[i]}
    assert changed == {"i1"}


def test_the_last_row_of_a_profile_wins_and_behaviours_keep_their_keys(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    ingest(engine, settings, [write_jsonl(tmp_path / "e.jsonl", [behavior(1)])])
    users = [{"user_id": "u1", "age": 1}, {"user_id": "u1", "age": 2}]
    report = ingest(engine, settings, [write_jsonl(tmp_path / "u.jsonl", users)], kind="users")
    assert (report.accepted, report.duplicates) == (1, 1)
    assert state.everything(engine)["profiles"] == [("item", "i1", None, {}), ("user", "u1", None, {"age": 2})]
    assert [row[:4] for row in state.stream(engine)] == [("u1", 1, "e1", "i1")]


def test_an_attributes_object_is_unfolded_and_empty_cells_are_left_out(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    rows = [{"user_id": "u1", "attributes": {"age": 5, "city": "Ulm"}, "age": 6}, {"user_id": "u2", "city": ""}]
    ingest(engine, settings, [write_jsonl(tmp_path / "u.jsonl", rows[:1])], kind="users")
    ingest(engine, settings, [write_csv(tmp_path / "u.csv", [rows[1] | {"age": "7"}])], kind="users")
    assert [row[3] for row in state.everything(engine)["profiles"]] == [{"age": 6, "city": "Ulm"}, {"age": "7"}]


@pytest.mark.parametrize(
    ("row", "reason"),
    [({"item_id": "", "title": "t"}, "item_id is missing"),
     ({"item_id": "i", "title": "a\0"}, "title contains a NUL byte"),
     ({"item_id": "i", "title": 1.5}, "title has the wrong type"),
     ({"item_id": "i", "title": "t", "cast": "\0"}, "attributes cannot be stored as JSON"),
     ("[]", "not a JSON object")],
)  # fmt: skip
def test_bad_profiles_go_to_quarantine(engine: Engine, settings: Settings, tmp_path: Path, row, reason: str) -> None:
    path = write_jsonl(tmp_path / "i.jsonl", [{"item_id": "good", "title": "t"}, row])
    assert ingest(engine, settings, [path], kind="items").accepted == 1
    assert state.rows(engine, "SELECT line, reason FROM liber.rejected_row") == [(2, reason)]
    assert [profile[1] for profile in state.everything(engine)["profiles"]] == ["good"]


PAST_ITEMS = "SELECT i.item_id, p.title, p.attributes FROM liber.item_past p JOIN liber.item i USING (item_key)"
PAST_USERS = "SELECT u.user_id, p.attributes FROM liber.user_past p JOIN liber.user_profile u USING (user_key)"


def in_order(statement: str) -> str:
    return f"{statement} ORDER BY 1, valid_to"


def test_each_state_that_a_change_replaces_is_kept(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    ingest(engine, settings, [write_jsonl(tmp_path / "e.jsonl", [behavior(1)])])  # i1 and u1, empty
    for year in (1, 2, 3):
        items = [{"item_id": f"i{n}", "title": f"T{n}", "year": year} for n in (1, 2)]
        users = [{"user_id": "u1", "age": 7}, {"user_id": "u1", "age": year}]
        ingest(engine, settings, [write_jsonl(tmp_path / f"i{year}.jsonl", items)], kind="items")
        ingest(engine, settings, [write_jsonl(tmp_path / f"u{year}.jsonl", users)], kind="users")
    assert state.rows(engine, in_order(PAST_ITEMS)) == [
        ("i1", None, {}), ("i1", "T1", {"year": 1}), ("i1", "T1", {"year": 2}),
        ("i2", "T2", {"year": 1}), ("i2", "T2", {"year": 2}),
    ]  # fmt: skip
    assert state.rows(engine, in_order(PAST_USERS)) == [("u1", {}), ("u1", {"age": 1}), ("u1", {"age": 2})]
    assert len(state.rows(engine, "SELECT DISTINCT valid_to FROM liber.item_past")) == 3  # one moment a file


def test_a_profile_that_says_the_same_adds_no_state(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    items = [{"item_id": "i1", "title": "Heat", "year": 1}, {"item_id": "i2", "title": None}]
    users = [{"user_id": "u1", "age": 1}]
    for number in range(3):
        again = [{"item_id": f"new{number}", "title": "New"}]  # other content, so the file is read
        ingest(engine, settings, [write_jsonl(tmp_path / f"i{number}.jsonl", items + again)], kind="items")
        again = [{"user_id": f"new{number}", "age": 1}]
        ingest(engine, settings, [write_jsonl(tmp_path / f"u{number}.jsonl", users + again)], kind="users")
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.item SET updated_at = now()"))
    assert state.rows(engine, PAST_ITEMS) + state.rows(engine, PAST_USERS) == []


def test_changes_made_by_hand_are_kept_too_even_where_only_the_writing_differs(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO liber.user_profile (user_id, attributes) VALUES ('u', '{\"age\": 1}')"))
        connection.execute(text("UPDATE liber.user_profile SET attributes = '{\"age\": 1.0}'"))
    assert state.rows(engine, "SELECT attributes::text FROM liber.user_past") == [('{"age": 1}',)]


def test_a_state_ends_after_the_one_before_it_even_if_the_clock_stepped_back(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO liber.item (item_id, title) VALUES ('i', 'one')"))
        connection.execute(text("UPDATE liber.item SET title = 'two'"))
        connection.execute(text("UPDATE liber.item_past SET valid_to = now() + interval '1 hour'"))
        for title in ("three", "four"):
            connection.execute(text("UPDATE liber.item SET title = :title"), {"title": title})
    assert [row[1] for row in state.rows(engine, in_order(PAST_ITEMS))] == ["one", "two", "three"]


def test_the_past_of_a_user_goes_with_the_user(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    for age in (1, 2):
        users = [{"user_id": user_id, "age": age} for user_id in ("u1", "u2")]
        ingest(engine, settings, [write_jsonl(tmp_path / f"{age}.jsonl", users)], kind="users")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM liber.user_profile WHERE user_id = 'u1'"))
    assert state.rows(engine, PAST_USERS) == [("u2", {"age": 1})]


@pytest.mark.parametrize("seed", range(3))
def test_files_loaded_at_once_keep_every_replaced_state_once(
    engine: Engine, settings: Settings, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    said: dict[str, list[str]] = {}
    paths = []
    for number in range(12):
        rows: list[dict[str, Any]] = []
        for item in dice.sample(range(30), 20):
            rows.append({"item_id": f"i{item}", "title": f"{item}-{number}"})
            said.setdefault(f"i{item}", []).append(f"{item}-{number}")
        paths.append(write_jsonl(tmp_path / f"{number}.jsonl", rows))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda path: ingest(engine, settings, [path], kind="items"), paths))
    kept: dict[str, list[str]] = {}
    for item_id, title, _ in state.rows(engine, PAST_ITEMS) + state.rows(
        engine, "SELECT item_id, title, NULL FROM liber.item"
    ):
        kept.setdefault(item_id, []).append(title)
    assert {item_id: sorted(titles) for item_id, titles in kept.items()} == {
        item_id: sorted(titles) for item_id, titles in said.items()
    }


def test_a_state_that_was_inserted_while_its_replacement_waited_is_kept(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    path = write_jsonl(tmp_path / "second.jsonl", [{"item_id": "i", "title": "second"}])
    second = threading.Thread(target=ingest, args=(engine, settings, [path]), kwargs={"kind": "items"})
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO liber.item (item_id, title) VALUES ('i', 'first')"))
        second.start()
        while not state.rows(engine, "SELECT FROM pg_locks WHERE NOT granted"):
            assert second.is_alive()
    second.join()
    assert state.rows(engine, PAST_ITEMS) == [("i", "first", {})]
    assert state.rows(engine, "SELECT title FROM liber.item") == [("second",)]


def test_the_past_begins_with_the_migration_on_a_database_with_data(
    cluster, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = tmp_path / "sql" / "migrations"
    earlier.mkdir(parents=True)
    for file in (db.SQL / "migrations").glob("*.sql"):
        if file.name < "20261123000006":
            (earlier / file.name).symlink_to(file)
    cluster.ensure({}, {"profiles_before": "postgres"})
    url = cluster.url("profiles_before")
    with monkeypatch.context() as patch:
        patch.setattr(db, "SQL", earlier.parent)
        db.init_db(url)
    engine = db.engine(url)
    titles = [[{"item_id": f"i{n}", "title": f"{word} {n}"} for n in range(500)] for word in ("old", "new", "newest")]
    for number, items in enumerate(titles):
        if number == 1:
            assert "20261123000006_profile_versions.sql" in db.init_db(url)
        ingest(engine, settings, [write_jsonl(tmp_path / f"{number}.jsonl", items)], kind="items")
    kept = state.rows(engine, in_order("SELECT item_key, title FROM liber.item_past"))
    assert sorted(row[1] for row in kept) == sorted(item["title"] for items in titles[:2] for item in items)
