"""What counts as liked: the SQL against its meaning in Python, and the rules that packs may state."""

import json
import re
import struct
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st
from psycopg2.extras import execute_values
from sqlalchemy import Engine, text

from liber_tasks import db
from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from liber_tasks.feedback import Feedback, feedback_in_use, positive
from liber_tasks.interest.wording.domain import domain
from tests.training.data import pack_with

KINDS = ("rating", "play", "purchase", "click")
LONG, SHORT = 4.0, 2.0  # what liked and disliked without a rating are on the scale of five


def implied(
    rule: Feedback | None, kind: str, rating: float | None, seconds: float | None, attributes: dict[str, Any]
) -> float | None:
    """The meaning of `liber.implied_rating`."""
    if rating is not None:
        levels = rule.rating_levels if rule else None
        return 1.0 + sum(rating > bound for bound in levels) if levels else rating
    if rule is None:
        return None
    if kind == "play" and seconds is not None and (bound := _bound(rule, attributes)) is not None:
        return LONG if seconds > bound else SHORT
    return LONG if kind in rule.liked else SHORT if kind in rule.disliked else None


def _bound(rule: Feedback, attributes: dict[str, Any]) -> float | None:
    stored = attributes.get(rule.duration) if rule.duration else None
    is_number = isinstance(stored, int | float) and not isinstance(stored, bool)
    written = format(Decimal(str(stored)), "f") if is_number else stored if isinstance(stored, str) else ""
    known = re.fullmatch(r"[0-9]{1,9}([.][0-9]{1,30})?", written, re.ASCII)
    if known and rule.play_share and (duration := float(written)):
        return rule.play_share * duration
    return rule.play_seconds


def _single(number: float) -> float:
    return float(struct.unpack("f", struct.pack("f", number))[0])


NUMBERS = st.sampled_from([0, 0.5, 2.5, 3, 3.01, 7, 45, 90, 91, 100, 200, 1e30]).map(_single)
DURATIONS: st.SearchStrategy[Any] = st.one_of(
    st.integers(-5, 1000), st.decimals(0, 500, places=3).map(float), st.sampled_from([1e-7, 1e300, 10**12, 90.0]),
    st.sampled_from(["180", "181.5", " 180", "3:45", "-1", "", "1e3", "180\n", "٣", None, True, [180], {"a": 1}]),
)  # fmt: skip
LEVELS = st.sampled_from([(1.5, 2.5, 3.0, 4.5), (2.0, 4.0, 6.0, 8.0), (0.1, 0.2, 3.01, 90.0)])
SHARES = ((0.5, "length of it"), (0.1, "d"))
SPLIT = st.permutations(["play", "purchase", "click"]).flatmap(
    lambda kinds: st.tuples(st.integers(0, 3), st.integers(0, 3)).map(
        lambda ends: (tuple(kinds[: min(ends)]), tuple(kinds[min(ends) : max(ends)]))
    )
)


@st.composite
def feedbacks(draw: st.DrawFn) -> Feedback | None:
    """Rules that a pack may state."""
    liked, disliked = draw(SPLIT)
    said = {
        "rating_levels": draw(st.none() | LEVELS), "play_seconds": draw(st.none() | st.sampled_from([0.0, 45.0, 90.0])),
        "liked": liked, "disliked": disliked,
        **draw(st.sampled_from([{}, *({"play_share": share, "duration": name} for share, name in SHARES)])),
    }  # fmt: skip
    said = {key: value for key, value in said.items() if value}
    return Feedback(**said) if said else None


@rules(max_examples=150, deadline=None)
@given(
    rule=feedbacks(),
    behaviors=st.lists(
        st.tuples(st.sampled_from(KINDS), st.none() | NUMBERS, st.none() | NUMBERS,
                  st.dictionaries(st.sampled_from(["length of it", "d", "other"]), DURATIONS)),
        min_size=1, max_size=30,
    ),
)  # fmt: skip
def test_the_statement_says_what_the_rule_means(
    database: Engine, rule: Feedback | None, behaviors: list[tuple[str, float | None, float | None, dict[str, Any]]]
) -> None:
    stored = [(rule.to_json() if rule else None, *each[:3], json.dumps(each[3])) for each in behaviors]
    with database.connect() as connection:
        found = execute_values(
            connection.connection.cursor(),
            "SELECT liber.implied_rating(b.rule, b.kind, b.rating, b.seconds, b.attributes) FROM (VALUES %s)"
            " AS b (rule, kind, rating, seconds, attributes)",
            stored, template="(%s::jsonb, %s::liber.behavior_kind, %s::real, %s::real, %s::jsonb)", fetch=True,
        )  # fmt: skip
    expected = [implied(rule, *each) for each in behaviors]
    assert [None if value is None else _single(value) for (value,) in found] == [
        None if value is None else _single(value) for value in expected
    ]


@pytest.fixture(scope="module")
def database(cluster: Any) -> Engine:
    """A database with the functions, of which nothing else is read."""
    return db.engine(cluster.url("liber_template"))


@pytest.mark.parametrize("statement", ["training/copy_behaviors", "explain/behaviors"])
def test_without_a_rule_a_rating_is_read_as_it_is_and_nothing_is_joined_for_it(engine: Engine, statement: str) -> None:
    inner = re.sub(r"(?s)^.*COPY \((.*)\) TO STDOUT.*$", r"\1", db.query(statement).text)
    with engine.connect() as connection:
        asked = {"feedback": None, "user_id": "u", "knowledge_version": None}
        names = {name: asked[name] for name in re.findall(r"(?<!:):(\w+)", inner)}
        plan = "\n".join(connection.execute(text(f"EXPLAIN (VERBOSE) {inner}"), names).scalars())
    assert "implied_rating" not in plan  # inlined
    assert "CASE" not in plan
    if statement.startswith("training"):
        assert "liber.item" not in plan


WRONG = {
    "an unknown key": ("play_part = 0.5", "feedback.play_part", "there is no such key"),
    "a share of all": ('play_share = 1\nduration = "d"', "feedback.play_share", "less than 1"),
    "a text for a share": ('play_share = "half"\nduration = "d"', "feedback.play_share", "a valid number"),
    "a share of nothing": ("play_share = 0.5", "feedback", "play_share and duration go together, give both"),
    "a duration of its own": ('duration = "d"', "feedback", "play_share and duration go together, give both"),
    "negative seconds": ("play_seconds = -1", "feedback.play_seconds", "greater than or equal to 0"),
    "an unknown kind": ('liked = ["view"]', "feedback.liked.0", "'play', 'purchase' or 'click'"),
    "a kind of both": ('liked = ["click"]\ndisliked = ["click"]', "feedback", "click is both liked and disliked"),
    "three bounds": ("rating_levels = [1, 2, 3]", "feedback.rating_levels.3", "the key is missing"),
    "bounds in disorder": ("rating_levels = [2, 4, 4, 8]", "feedback", "rating_levels must ascend"),
    "nothing": ("", "feedback", "it says nothing, remove the table or fill it"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_rule_is_one_sentence_with_pack_and_key(tmp_path: Path, fault: str) -> None:
    rule, key, advice = WRONG[fault]
    path = pack_with(tmp_path, rule)
    said = set()
    for asked in (lambda: domain(path), lambda: feedback_in_use(Settings(_env_file=None, domain=path))):  # type: ignore[call-arg]
        with pytest.raises(InputError) as caught:
            asked()
        said.add(str(caught.value))
    (sentence,) = said
    assert sentence.startswith(f"The domain pack {path} (LIBER_DOMAIN) is wrong at {key}: ")
    assert advice in sentence
    assert "\n" not in sentence


def test_the_installed_packs_say_what_is_liked() -> None:
    found = {name: feedback_in_use(Settings(_env_file=None, domain=name)) for name in ("movies", "books", "music")}  # type: ignore[call-arg]
    assert found["movies"] is None
    assert json.loads(found["books"] or "") == {"liked": ["purchase"]}
    assert json.loads(found["music"] or "") == {
        "play_share": 0.5, "duration": "duration_seconds", "play_seconds": 90.0, "liked": ["purchase"],
    }  # fmt: skip
    assert positive(None) == "A rating above 3 is positive."
    assert (found["books"] or "") in positive(found["books"])


def test_no_prompt_and_no_kept_pack_depends_on_it(tmp_path: Path) -> None:
    plain, other = domain(pack_with(tmp_path, "play_seconds = 1")), domain(pack_with(tmp_path, "play_seconds = 2"))
    assert (plain.digest, plain.item_digest) == (other.digest, other.item_digest)
    assert plain.model_dump() == other.model_dump()
    assert plain == other
