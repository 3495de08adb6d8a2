"""Assignment: the same bucket everywhere, for ever."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from liber_tasks.config import ROOT
from liber_tasks.errors import InputError
from liber_tasks.experiment.assign import BUCKETS, Assignment, arm, bucket

PUBLISHED = json.loads((Path(__file__).parent / "bucket_vectors.json").read_text(encoding="utf-8"))
VECTORS = PUBLISHED["vectors"]
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


# Layers and traffic

ASSIGNMENTS = PUBLISHED["assignments"]
SQL_ARMS = text(
    "SELECT liber.assigned_arm(cast(:name AS text), u.user_id) FROM unnest(cast(:users AS text[])) "
    "WITH ORDINALITY AS u (user_id, n) ORDER BY u.n"
)
USERS = [f"u{n}" for n in range(20_000)]


def rule(vector: dict) -> Assignment:
    slot = (vector["slot"][0], vector["slot"][1])
    return Assignment(
        vector["salt"], vector["control_share"], vector["treatment_share"], vector["layer"], slot, vector["traffic"]
    )


def arms_in_sql(engine: Engine, assignment: Assignment, users: list[str]) -> list[str | None]:
    """Arms of users in an experiment that is stored, asked and forgotten."""
    with engine.connect() as connection:
        connection.execute(
            text(
                "INSERT INTO liber.experiment (name, hypothesis, salt, control_share, treatment_share, starts_at, "
                "ends_at, layer, slot, traffic) VALUES ('e', 'h', :salt, :c, :t, '2026-03-02Z', '2026-03-09Z', :layer, "
                "CASE WHEN cast(:layer AS text) IS NOT NULL THEN int4range(:first, :end) END, :traffic)"
            ),
            {
                "salt": assignment.salt, "c": assignment.control_share, "t": assignment.treatment_share,
                "layer": assignment.layer, "first": assignment.slot[0], "end": assignment.slot[1],
                "traffic": assignment.traffic,
            },
        )  # fmt: skip
        return list(connection.execute(SQL_ARMS, {"name": "e", "users": users}).scalars())


@pytest.mark.parametrize("vector", ASSIGNMENTS, ids=lambda vector: f"{vector['salt']}-{vector['user_id']}"[:30])
def test_python_gives_the_published_assignments(vector: dict) -> None:
    found = rule(vector)
    assert found.gate_salt == vector["gate_salt"]
    assert [found.admitted.start, found.admitted.stop] == vector["admitted"]
    assert bucket(found.gate_salt, vector["user_id"]) == vector["gate_bucket"]
    assert bucket(found.salt, vector["user_id"]) == vector["bucket"]
    assert found.arm_of(vector["user_id"]) == vector["arm"]


def test_sql_gives_the_published_assignments(engine: Engine) -> None:
    for assignment in {rule(vector) for vector in ASSIGNMENTS}:
        vectors = [vector for vector in ASSIGNMENTS if rule(vector) == assignment]
        found = arms_in_sql(engine, assignment, [vector["user_id"] for vector in vectors])
        assert found == [vector["arm"] for vector in vectors]


def test_the_vectors_in_the_documentation_are_those_of_the_tests() -> None:
    assert json.loads((ROOT / "docs" / "assignment_vectors.json").read_text(encoding="utf-8")) == PUBLISHED


tenths_of_a_thousandth = st.integers(1, BUCKETS).map(lambda n: n / BUCKETS)


@st.composite
def assignments(draw: st.DrawFn) -> Assignment:
    control = draw(st.integers(1, BUCKETS - 1))
    shares = (control / BUCKETS, draw(st.integers(1, BUCKETS - control)) / BUCKETS)
    layer = draw(st.none() | words)
    first = draw(st.integers(0, BUCKETS - 1))
    slot = (0, BUCKETS) if layer is None else (first, draw(st.integers(first + 1, BUCKETS)))
    return Assignment(draw(words), *shares, layer, slot, draw(tenths_of_a_thousandth))


@given(assignment=assignments(), users=st.lists(words, min_size=1, max_size=20))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_python_and_sql_agree_on_any_assignment(engine: Engine, assignment: Assignment, users: list[str]) -> None:
    assert arms_in_sql(engine, assignment, users) == [assignment.arm_of(user) for user in users]


@given(assignment=assignments(), more=tenths_of_a_thousandth)
@settings(max_examples=60, deadline=None)
def test_a_ramp_lets_users_in_and_changes_nobodys_arm(assignment: Assignment, more: float) -> None:
    wider = replace(assignment, traffic=max(more, assignment.traffic))
    for user in USERS[:200]:
        arm_before = assignment.arm_of(user)
        assert arm_before is None or wider.arm_of(user) == arm_before


@given(layer=words, cut=st.integers(1, BUCKETS - 1), salts=st.tuples(words, words))
@settings(max_examples=30, deadline=None)
def test_experiments_of_a_layer_exclude_each_other(layer: str, cut: int, salts: tuple[str, str]) -> None:
    first = Assignment(salts[0], 0.5, 0.5, layer, (0, cut))
    second = Assignment(salts[1], 0.5, 0.5, layer, (cut, BUCKETS))
    for user in USERS[:200]:
        assert (first.arm_of(user) is None) != (second.arm_of(user) is None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Assignment("one", 0.5, 0.5), Assignment("two", 0.5, 0.5)),
        (Assignment("one", 0.3, 0.3, traffic=0.5), Assignment("two", 0.3, 0.3, traffic=0.5)),
        (Assignment("one", 0.5, 0.5, "home", (0, 5000)), Assignment("two", 0.5, 0.5, "search", (0, 5000))),
        (Assignment("one", 0.5, 0.5, "home", (0, 5000)), Assignment("two", 0.4, 0.4)),
        (Assignment("home", 0.5, 0.5, "home", (0, 5000)), Assignment("two", 0.5, 0.5, "two", (2000, 9000), 0.5)),
    ],
    ids=["salts", "traffic", "layers", "layer and none", "names alike"],
)
def test_experiments_of_different_salts_and_layers_are_independent(one: Assignment, other: Assignment) -> None:
    table = Counter((one.arm_of(user), other.arm_of(user)) for user in USERS)
    rows, columns = (list(dict.fromkeys(key[side] for key in table)) for side in (0, 1))
    assert chi2_contingency([[table[row, column] for column in columns] for row in rows]).pvalue > 0.001


def test_the_gate_of_an_experiment_does_not_lean_on_its_arm() -> None:
    assignment = Assignment("one", 0.5, 0.5, traffic=0.5)
    counts = Counter(assignment.arm_of(user) for user in USERS)
    assert counts["control"] == pytest.approx(5_000, abs=4 * (20_000 * 0.25 * 0.75) ** 0.5)
    assert counts["treatment"] == pytest.approx(5_000, abs=4 * (20_000 * 0.25 * 0.75) ** 0.5)


def test_an_unknown_experiment_is_an_error_in_sql_not_a_user_outside(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(DBAPIError, match="'nowhere' is unknown"):
        connection.execute(SQL_ARMS, {"name": "nowhere", "users": ["u"]})
