"""Assignment: the same bucket everywhere, for ever."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from liber_tasks.errors import InputError
from liber_tasks.experiment.assign import BUCKETS, arm, bucket

VECTORS = json.loads((Path(__file__).parent / "bucket_vectors.json").read_text(encoding="utf-8"))["vectors"]
SQL_BUCKETS = text(
    "SELECT liber.bucket(t.salt, t.user_id) FROM unnest(cast(:salts AS text[]), cast(:users AS text[])) "
    "WITH ORDINALITY AS t (salt, user_id, n) ORDER BY t.n"
)
# PostgreSQL's text holds every character but NUL; lone surrogates are not characters.
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


def in_sql(engine: Engine, pairs: list[tuple[str, str]]) -> list[int]:
    with engine.connect() as connection:
        rows = connection.execute(SQL_BUCKETS, {"salts": [s for s, _ in pairs], "users": [u for _, u in pairs]})
        return list(rows.scalars())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: repr(vector["user_id"])[:20])
def test_python_gives_the_published_buckets(vector: dict) -> None:
    assert bucket(vector["salt"], vector["user_id"]) == vector["bucket"]
    assert arm(vector["salt"], vector["user_id"], 0.1, 0.1) == vector["arm"]


def test_sql_gives_the_published_buckets(engine: Engine) -> None:
    pairs = [(vector["salt"], vector["user_id"]) for vector in VECTORS]
    assert in_sql(engine, pairs) == [vector["bucket"] for vector in VECTORS]


@given(pairs=st.lists(st.tuples(words, words), min_size=1, max_size=20))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_python_and_sql_agree_on_any_text(engine: Engine, pairs: list[tuple[str, str]]) -> None:
    assert in_sql(engine, pairs) == [bucket(*pair) for pair in pairs]


def test_arms_get_their_shares_and_other_salts_shuffle_anew() -> None:
    users = [f"u{n}" for n in range(20_000)]
    first = [arm("one", user, 0.1, 0.3) for user in users]
    second = [arm("two", user, 0.1, 0.3) for user in users]
    assert first.count("control") == pytest.approx(2_000, abs=4 * (20_000 * 0.1 * 0.9) ** 0.5)
    assert first.count("treatment") == pytest.approx(6_000, abs=4 * (20_000 * 0.3 * 0.7) ** 0.5)
    both = sum(a == b == "treatment" for a, b in zip(first, second, strict=True))
    assert both == pytest.approx(1_800, abs=4 * (20_000 * 0.09 * 0.91) ** 0.5)


def test_a_bucket_is_one_of_ten_thousand() -> None:
    assert {bucket("s", str(n)) for n in range(2_000)} <= set(range(BUCKETS))


@pytest.mark.parametrize("shares", [(0.0, 0.5), (0.5, 0.0), (0.6, 0.5), (-0.1, 0.1)])
def test_impossible_shares_are_refused(shares: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="share"):
        arm("s", "u", *shares)
