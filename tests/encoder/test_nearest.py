"""Promises of nearest users: users and not partitions, of one version, the same with an index but for its recall."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from liber_tasks.encoder.nearest import index_name, make_index, nearest_users
from liber_tasks.errors import InputError, LiberError
from tests.encoder.vectors import store


def named(engine: Engine, user: str, k: int = 10, **options: bool) -> list[tuple[str, int]]:
    return [
        (each.user_id, each.partition_no) for each in nearest_users(engine, user, "e1", "k1", k, **options).neighbours
    ]


def plan(engine: Engine, user_key: int = 1) -> str:
    """How the statement of the search would run if reading the whole table were out of the question."""
    from psycopg2.extensions import AsIs

    from liber_tasks.db import query

    parameters = {"vector_type": AsIs("vector(2)"), "nearest_to": "[1,0]", "user_key": user_key, "fetched": 8,
                  "encoder_version": "e1", "knowledge_version": "k1"}  # fmt: skip
    with engine.connect() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        statement = text("EXPLAIN " + query("encoder/nearest_partitions").text)
        return "\n".join(connection.execute(statement, parameters).scalars())


def test_the_latest_partition_is_compared_with_every_partition_of_the_others(engine: Engine) -> None:
    store(engine, {"me": [[0, 1], [1, 0]], "once": [[1, 0.1], [0, 1]], "now": [[0, 1], [1, 0.3]], "never": [[-1, 0]]})
    found = nearest_users(engine, "me", "e1", "k1")
    assert found.partition_no == 2
    assert [(each.user_id, each.partition_no) for each in found.neighbours] == [("once", 1), ("now", 2), ("never", 1)]
    expected = [1 / np.hypot(1, 0.1), 1 / np.hypot(1, 0.3), -1]
    assert np.allclose([each.similarity for each in found.neighbours], expected, atol=1e-6)
    assert [each.summary for each in found.neighbours] == ["once 1 k1", "now 2 k1", "never 1 k1"]


def test_the_user_is_no_neighbour_of_oneself(engine: Engine) -> None:
    store(engine, {"me": [[1, 0]] * 3, "other": [[0, 1]]})
    assert named(engine, "me") == [("other", 1)]


def test_many_near_partitions_of_one_user_hide_nobody(engine: Engine) -> None:
    store(engine, {"me": [[1, 0]], "busy": [[1, 0.001 * n] for n in range(60)], "other": [[0.5, 1]], "last": [[0, 1]]})
    assert named(engine, "me", 3) == [("busy", 1), ("other", 1), ("last", 1)]
    make_index(engine, "e1", "k1")
    assert named(engine, "me", 3) == [("busy", 1), ("other", 1), ("last", 1)]


def test_equally_near_users_come_in_the_order_in_which_they_became_known(engine: Engine) -> None:
    store(engine, {"z": [[1, 0]], "me": [[2, 0]], "a": [[3, 0], [3, 0]]})
    assert named(engine, "me") == [("z", 1), ("a", 1)]


def test_vectors_of_other_versions_are_never_compared(engine: Engine) -> None:
    store(engine, {"me": [[1, 0]], "same": [[0, 1]]})
    store(engine, {"me": [[1, 0]], "encoder": [[1, 0]]}, encoder="e2")
    store(engine, {"me": [[1, 0]], "knowledge": [[1, 0]]}, knowledge="k2")
    store(engine, {"me": [[1, 0, 0]], "longer": [[1, 0, 0]]}, encoder="e3")
    for _ in range(2):
        assert named(engine, "me") == [("same", 1)]
        assert [each.user_id for each in nearest_users(engine, "me", "e3", "k1").neighbours] == ["longer"]
        for encoder, knowledge in (("e1", "k1"), ("e2", "k1"), ("e1", "k2"), ("e3", "k1")):
            make_index(engine, encoder, knowledge)  # then the same again with an index of each


def test_partitions_of_zeros_are_near_to_nothing(engine: Engine) -> None:
    store(engine, {"me": [[1, 0]], "zeros": [[0, 0]], "other": [[0, 1]], "empty": [[1, 0], [0, 0]]})
    assert named(engine, "me") == [("empty", 1), ("other", 1)]
    with pytest.raises(LiberError, match="zeros"):
        nearest_users(engine, "empty", "e1", "k1")


def test_a_text_that_is_gone_is_none(engine: Engine) -> None:
    store(engine, {"me": [[1, 0]], "other": [[0, 1]]})
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM liber.interest"))
    assert nearest_users(engine, "me", "e1", "k1").neighbours[0].summary is None


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), k=st.integers(1, 12), indexed=st.booleans())
def test_it_equals_a_plain_loop_over_all_vectors(engine: Engine, seed: int, k: int, indexed: bool) -> None:
    dice = np.random.default_rng(seed)
    users = {f"u{n}": dice.normal(size=(dice.integers(1, 9), 4)).round(3).tolist() for n in range(10)}
    encoder = f"seed {seed} {k} {indexed}"
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM liber.interest_vector WHERE encoder_version = :e"), {"e": encoder})
    store(engine, users, encoder=encoder)
    if indexed:
        make_index(engine, encoder, "k1")

    me = np.array(users["u0"][-1])
    best = {
        user: max(np.array(row) @ me / np.linalg.norm(row) / np.linalg.norm(me) for row in rows)
        for user, rows in users.items()
        if user != "u0"
    }
    found = nearest_users(engine, "u0", encoder, "k1", k).neighbours
    expected = sorted(best.values(), reverse=True)[:k]
    assert np.allclose([each.similarity for each in found], expected, atol=1e-5)
    assert all(abs(best[each.user_id] - each.similarity) < 1e-5 for each in found)


# Errors


def test_an_unknown_user_and_one_without_vectors_are_told_apart(engine: Engine) -> None:
    store(engine, {"me": [[1, 0]], "new": []})
    with pytest.raises(InputError, match="no user 'nobody'"):
        nearest_users(engine, "nobody", "e1", "k1")
    with pytest.raises(LiberError, match=r"'new' has no vector.*liber encode"):
        nearest_users(engine, "new", "e1", "k1")
    with pytest.raises(LiberError, match=r"'me' has no vector.*k9"):
        nearest_users(engine, "me", "e1", "k9")
    with pytest.raises(InputError, match="'e9'"):
        nearest_users(engine, "me", "e9", "k1")
    with pytest.raises(InputError, match="k is 0"):
        nearest_users(engine, "me", "e1", "k1", 0)


def test_alone_one_has_no_neighbours(engine: Engine) -> None:
    store(engine, {"me": [[1, 0]]})
    assert named(engine, "me") == []


# The index


def test_the_index_is_made_once_and_used(engine: Engine) -> None:
    store(engine, {"me": [[1, 0]], "other": [[0, 1]]})
    name = index_name("e1", "k1")
    assert name not in plan(engine)
    assert make_index(engine, "e1", "k1")
    assert not make_index(engine, "e1", "k1")
    assert name in plan(engine)


def test_a_new_vector_is_found_through_the_index(engine: Engine) -> None:
    store(engine, {"me": [[1, 0]], "other": [[0, 1]]})
    make_index(engine, "e1", "k1")
    store(engine, {"late": [[1, 0.1]]})
    assert named(engine, "me") == [("late", 1), ("other", 1)]


def test_versions_may_be_spelt_with_any_character(engine: Engine) -> None:
    odd = 'it\'s "odd"; DROP TABLE liber.encoder --%s :e \\'
    store(engine, {"me": [[1, 0]], "other": [[0, 1]]}, encoder=odd, knowledge=odd)
    assert make_index(engine, odd, odd)
    assert [each.user_id for each in nearest_users(engine, "me", odd, odd).neighbours] == ["other"]


def test_what_an_interrupted_making_left_is_made_anew(engine: Engine) -> None:
    store(engine, {"me": [[1, 0]], "other": [[0, 1]]})
    make_index(engine, "e1", "k1")
    with engine.begin() as connection:  # as CREATE INDEX CONCURRENTLY leaves it when it is stopped
        connection.execute(
            text("UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = ('liber.' || :n)::regclass"),
            {"n": index_name("e1", "k1")},
        )
    assert index_name("e1", "k1") not in plan(engine)
    assert make_index(engine, "e1", "k1")
    assert index_name("e1", "k1") in plan(engine)


def test_a_second_maker_is_told_of_the_first(engine: Engine) -> None:
    from liber_tasks.db import query

    store(engine, {"me": [[1, 0]]})
    with engine.connect() as connection:
        name = {"index_name": index_name("e1", "k1")}
        assert connection.execute(query("encoder/nearest_index_lock"), name).scalar_one()
        with pytest.raises(LiberError, match="Another process"):
            make_index(engine, "e1", "k1")
    assert make_index(engine, "e1", "k1")


def test_vectors_too_long_for_an_index_are_searched_all_the_same(engine: Engine) -> None:
    store(engine, {"me": [[1.0] * 2001], "other": [[0.5] * 2001]})
    with pytest.raises(InputError, match="2000"):
        make_index(engine, "e1", "k1")
    assert named(engine, "me") == [("other", 1)]


# The command


def liber(database_url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    program = (
        "import sys, typer\nfrom liber_tasks import cli, cli_vectors\n"
        "if not any(c.name == 'nearest' for c in cli.app.registered_commands):\n"
        "    cli.app.command('nearest')(cli_vectors.nearest)\n"
        "cli.main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program, "nearest", *arguments], capture_output=True, text=True, check=False,
        env={"LIBER_DATABASE_URL": database_url, "PATH": "/usr/bin:/bin", "COLUMNS": "200"}, timeout=120,
    )  # fmt: skip


def test_the_command_says_who_how_near_and_why(engine: Engine, database_url: str) -> None:
    store(engine, {"me": [[0, 1], [1, 0]], "o[/]ne": [[1, 0.1]], "two": [[0, 1]]})
    shown = liber(database_url, "me", "--index")
    assert shown.returncode == 0, shown.stderr
    assert "P_2 of user me" in shown.stdout
    assert [line.split() for line in shown.stdout.splitlines() if " P_1 " in line] == [
        ["o[/]ne", "0.995", "P_1", "o[/]ne", "1", "k1"],
        ["two", "0.000", "P_1", "two", "1", "k1"],
    ]
    assert index_name("e1", "k1") in plan(engine)
    entries = json.loads(liber(database_url, "me", "--k", "1", "--json").stdout)
    assert entries["encoder_version"] == "e1"
    assert [each["user_id"] for each in entries["neighbours"]] == ["o[/]ne"]


def test_the_commands_errors_are_one_sentence(engine: Engine, database_url: str) -> None:
    empty = liber(database_url, "me")
    assert (empty.returncode, empty.stdout) == (1, "")
    assert "liber encode" in empty.stderr
    store(engine, {"me": [[0, 1]]})
    unknown = liber(database_url, "nobody")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)
    assert "'nobody'" in unknown.stderr
