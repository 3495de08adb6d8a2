"""Promises of finding an id in free text."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from liber_tasks.behavior.spelling import beginnings, pattern, pieces, possible_ids

ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8).filter(
    str.strip
)


def found(engine: Engine, user: str, raws: list[str]) -> list[bool]:
    """Whether PostgreSQL finds an id in each text."""
    statement = text(
        "SELECT EXISTS (SELECT FROM unnest(cast(:pieces AS text[])) AS p WHERE strpos(raw, p) > 0) AND raw ~ :pattern"
        " FROM unnest(cast(:raws AS text[])) WITH ORDINALITY AS r (raw, n) ORDER BY n"
    )
    with engine.connect() as connection:
        asked = {"pieces": pieces(user), "pattern": pattern(user), "raws": raws}
        return list(connection.execute(statement, asked).scalars())


def spellings(user: str) -> list[str]:
    cells = io.StringIO()
    csv.writer(cells).writerow(["e1", user, "i1"])
    row = {"event_id": "e", "user_id": user}
    nested = {"message": json.dumps(row)}
    return [f"<{user}>", *(json.dumps(x, ensure_ascii=flag) for x in (row, nested) for flag in (True, False)),
            json.dumps(row).replace("/", "\\/"), f'{{"user_id": "x\\n{user}"', cells.getvalue()]  # fmt: skip


@pytest.fixture(scope="module")
def any_database(cluster) -> Engine:
    from liber_tasks import db

    return db.engine(cluster.url("liber_template"))


@examples(max_examples=60, deadline=None)
@given(ids)
def test_an_id_is_found_however_it_is_escaped(any_database: Engine, user: str) -> None:
    assert found(any_database, user, spellings(user)) == [True] * len(spellings(user))


def test_the_longest_id_is_found(any_database: Engine) -> None:
    for user in ("x" * 512, "é" * 256, '"' * 512, "🎬" * 128):
        assert found(any_database, user, [json.dumps(user), "nothing"]) == [True, False]


@pytest.mark.parametrize(
    ("user", "raw", "there"),
    [("4", "40", False), ("4", "14", False), ("4", "a4", False), ("4", "4é", False), ("4", "é4", False),
     ("4", "-4-", True), ("4", "u_4", True), ("4", '{"user_id":4}', True), ("4", "x4 4", True), ("4", "\\n4", True),
     ("4", "\\u00e94", True), ("a.b", "axb", False), ("a%", "ab", False), ("A", "a", False), ("-x", "a-x", True),
     ("Zoë", "Zoe\\u0308", False), ("Zoë", "Zo\\u00EB", True), ("Zoë", "Zoëy", False)],
)  # fmt: skip
def test_an_id_is_found_as_a_whole_token_only(any_database: Engine, user: str, raw: str, there: bool) -> None:
    assert found(any_database, user, [raw]) == [there]


def test_what_is_left_of_an_id_where_a_text_was_cut_off() -> None:
    assert beginnings("abc") == ["ab", "a"]
    assert {"\\u00e9", "é", "\\u00"} <= set(beginnings("éa"))


@examples(max_examples=100, deadline=None)
@given(ids)
def test_the_user_of_a_rejected_row_is_among_its_possible_ids(user: str) -> None:
    for raw in (json.dumps({"user_id": user, "x": 1}), json.dumps({"user_id": user}, ensure_ascii=False)):
        assert possible_ids(raw) == {user}
    assert user in possible_ids(json.dumps({"user_id": user})[:-1])  # no JSON any more


@pytest.mark.parametrize(
    ("raw", "ids"),
    [('{"user_id": 7}', {"7"}), ('{"user_id": "a", "user_id": "b"}', {"a", "b"}), ('{"x": {"user_id": "a"}}', {"a"}),
     ("u1,i1", {"u1", "i1"})],
)  # fmt: skip
def test_a_row_is_of_the_user_it_names_else_of_any_of_its_pieces(raw: str, ids: set[str]) -> None:
    assert possible_ids(raw) == ids
