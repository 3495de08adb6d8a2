"""Promises of ingesting items and users."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

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
