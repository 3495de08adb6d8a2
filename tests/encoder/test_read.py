"""Promises of the bulk read: exactly the vectors asked for, of one version, in the order of the users asked for."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from liber_tasks.encoder.read import largest_versions, partition_vectors
from liber_tasks.errors import InputError
from tests.encoder.vectors import store

USERS = {"a": [[1, 2, 3], [4, 5, 6]], "b": [], "c": [[7, 8, 9]], "d": [[0.5, 0, -1], [0, 0, 0], [1e-6, 1e6, 3]]}


def slowly(engine: Engine, user_ids: list[str], encoder: str, knowledge: str) -> list[tuple]:
    """Row by row, as text."""
    rows = []
    with engine.connect() as connection:
        for place, user in enumerate(user_ids):
            found = connection.execute(
                text("SELECT partition_no, sealed_at, vector::text FROM liber.interest_vector"
                     " INNER JOIN liber.behavior_partition USING (user_key, partition_no)"
                     " INNER JOIN liber.user_profile USING (user_key)"
                     " WHERE user_id = :u AND encoder_version = :e AND knowledge_version = :k ORDER BY partition_no"),
                {"u": user, "e": encoder, "k": knowledge},
            )  # fmt: skip
            rows += [(place, number, sealed.replace(tzinfo=None), json.loads(said)) for number, sealed, said in found]
    return rows


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(st.sampled_from(["a", "b", "c", "d", "nobody", "it's, \\ {odd} %s"]), max_size=6))
def test_it_equals_reading_row_by_row(engine: Engine, asked: list[str]) -> None:
    with engine.connect() as connection:
        filled = connection.execute(text("SELECT count(*) FROM liber.interest_vector")).scalar_one()
    if not filled:
        store(engine, USERS | {"it's, \\ {odd} %s": [[1, 1, 1]]})
        store(engine, {user: [[9, *row[1:]] for row in rows] for user, rows in USERS.items()}, encoder="e2")
        store(engine, {user: [[8, *row[1:]] for row in rows] for user, rows in USERS.items()}, knowledge="k2")
        store(engine, {user: [[8, 7] for _ in rows] for user, rows in USERS.items()}, encoder="of two")
    found = partition_vectors(engine, asked, "e1", "k1")
    expected = slowly(engine, asked, "e1", "k1")
    assert found.user_row.tolist() == [row[0] for row in expected]
    assert found.partition_no.tolist() == [row[1] for row in expected]
    assert found.sealed_at.tolist() == [row[2] for row in expected]
    assert np.array_equal(found.vectors, np.array([row[3] for row in expected], np.float32).reshape(-1, 3))
    assert found.vectors.dtype == np.float32


def test_nobody_asked_for_is_no_rows(engine: Engine) -> None:
    store(engine, USERS)
    assert partition_vectors(engine, [], "e1", "k1").vectors.shape == (0, 3)
    assert partition_vectors(engine, ["nobody"], "e1", "k1").vectors.shape == (0, 3)
    assert partition_vectors(engine, ["a"], "e1", "another").vectors.shape == (0, 3)


def test_an_encoder_that_is_not_there_is_named(engine: Engine) -> None:
    with pytest.raises(InputError, match="'e9'"):
        partition_vectors(engine, ["a"], "e9", "k1")


def test_the_versions_with_the_most_vectors_are_chosen_within_what_is_asked_for(engine: Engine) -> None:
    assert largest_versions(engine) is None
    store(engine, USERS)
    store(engine, {"a": [[1, 2]]}, encoder="e2", knowledge="k2")
    assert largest_versions(engine) == ("e1", "k1")
    assert largest_versions(engine, "e2") == ("e2", "k2")
    assert largest_versions(engine, None, "k2") == ("e2", "k2")
    assert largest_versions(engine, "e1", "k2") is None
