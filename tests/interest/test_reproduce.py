"""Promises of reproduction: the prompt of a stored text comes back byte for byte, whatever changed since."""

import hashlib
import itertools
import re
import shutil
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text

from liber_tasks import db
from liber_tasks import domain_pack as packs
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError
from liber_tasks.interest import inputs, prompts
from liber_tasks.interest.backlog import Backlog, PartitionCall
from liber_tasks.interest.learn import learn
from liber_tasks.interest.ledger import PARTITIONS, Ledger, Result
from liber_tasks.interest.prompts import Kind, Knowledge, knowledge_version
from liber_tasks.interest.reproduce import reproduce
from liber_tasks.interest.server.answers import Answer, Spent
from liber_tasks.interest.versions import name_version
from tests.behavior.files import write_jsonl
from tests.interest.data import TITLES, add_user, rows
from tests.interest.faults import GOOD, faulty

ANSWER = Answer("likes films", 9, 3, 0.1, "stop", Spent(9, 3), "openai", guided=False)
KINDS: tuple[Kind, ...] = ("summary", "shift")
_numbers = itertools.count()
Asked = dict[tuple[str, int, Kind], str]  # (user_id, partition_no, kind) -> prompt as it was sent


def change(engine: Engine, settings: Settings, folder: Path, kind: Any, profiles: Sequence[dict[str, Any]]) -> None:
    """Ingest a file of items or users; a file of items needs one with a title."""
    profiles = [*profiles, {f"{kind[:-1]}_id": "other", "title": "Other"}]
    ingest(engine, settings, [write_jsonl(folder / f"{next(_numbers)}.jsonl", profiles)], kind=kind)


def film(item_id: str, n: int) -> dict[str, Any]:
    """The n-th state of an item; at first it has no title."""
    return {"item_id": item_id, "title": f"{item_id} {n}" if n else None, "genres": [f"Genre {n}"], "year": n}


def person(user_id: str, n: int) -> dict[str, Any]:
    """The n-th state of a user."""
    return {"user_id": user_id, "gender": "FM"[n % 2], "age": n, "occupation": f"job {n} of {user_id}"}


def work(engine: Engine, knowledge: Knowledge, user_id: str) -> Backlog:
    """Calls of a user."""
    backlog = Backlog(knowledge)
    for users in inputs.work(engine, knowledge, inputs.users_named(engine, [user_id])):
        for user in users:
            backlog.begin(backlog.prepare(user))
    return backlog


def opened(engine: Engine, knowledge: Knowledge, run_id: str = "r") -> Ledger:
    """A ledger of a version that is named."""
    name_version(engine, knowledge)
    return Ledger(engine, PARTITIONS, knowledge.version, run_id)


def answer(engine: Engine, knowledge: Knowledge, user_id: str, most: int, asked: Asked, *, left_out: int = 0) -> None:
    """Store an answer to the next calls of a user and keep what was asked."""
    ledger, backlog = opened(engine, knowledge), work(engine, knowledge, user_id)
    while most and (call := backlog.take()) is not None:
        assert ledger.claim([call]) == {call.key}
        missing = min(left_out, call.parts)
        prompt = call.shortened(missing)
        ledger.store([Result(call, ANSWER, prompt, missing)])
        asked[user_id, call.place.partition_no, call.kind] = prompt
        backlog.answered(call, ANSWER.text)
        most -= 1
    ledger.close("")


def assert_reproduced(engine: Engine, asked: Asked) -> None:
    for (user_id, partition_no, kind), prompt in asked.items():
        found = reproduce(engine, user_id, partition_no, kind)
        assert found.prompt == prompt
        assert found.input_sha256 == hashlib.sha256(prompt.encode()).hexdigest()


@pytest.fixture
def knowledge(settings: Settings) -> Knowledge:
    """The version of the default settings."""
    return knowledge_version(settings)


def test_every_prompt_that_a_server_got_comes_back_after_titles_genres_and_users_changed(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    for user_id in ("a", "b"):
        add_user(engine, user_id, 3)
    with faulty(lambda *_: GOOD) as server:
        live = settings.model_copy(update={"llm_url": server.url})
        for n in range(3):  # changes before, between and after
            change(engine, settings, tmp_path, "items", [film(title, n) for title in TITLES])
            change(engine, settings, tmp_path, "users", [person(user_id, n) for user_id in ("a", "b")])
            learn(engine, live, max_calls=4)
        change(engine, settings, tmp_path, "items", [film(title, 9) for title in TITLES])
    found = [
        reproduce(engine, user_id, number, kind)
        for user_id in ("a", "b")
        for number in (1, 2, 3)
        for kind in KINDS[: 1 + (number > 1)]
    ]
    assert len(found) == 10
    assert Counter(one.prompt for one in found) == server.prompts


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("items"), st.lists(st.integers(0, 3), min_size=1, max_size=4), st.integers(0, 3)),
        st.tuples(st.just("users"), st.sampled_from([[0], [1], [0, 1]]), st.integers(0, 3)),
        st.tuples(st.just("learn"), st.sampled_from([0, 1]), st.integers(1, 4)),
    ),
    min_size=3, max_size=9,
)  # fmt: skip


@given(operations=OPERATIONS)
@bounded(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_prompts_come_back_after_any_sequence_of_changes_and_learning(
    engine: Engine, settings: Settings, knowledge: Knowledge, tmp_path: Path, operations: list[Any]
) -> None:
    mark = next(_numbers)  # examples share a database: each has items and users of its own
    items, people = [f"i{mark}-{n}" for n in range(4)], [f"u{mark}-{n}" for n in range(2)]
    for user_id in people:
        add_user(engine, user_id, 3, size=2, titles=items)
    asked: Asked = {}
    for operation, which, value in operations:
        if operation == "learn":
            answer(engine, knowledge, people[which], value, asked)
        elif operation == "items":
            change(engine, settings, tmp_path, "items", [film(items[n], value) for n in which])
        else:
            change(engine, settings, tmp_path, "users", [person(people[n], value) for n in which])
    assert_reproduced(engine, asked)


def test_inputs_read_long_before_the_call_was_claimed_are_found(
    engine: Engine, settings: Settings, knowledge: Knowledge, tmp_path: Path
) -> None:
    add_user(engine, "a", 1)
    for n in range(2):
        change(engine, settings, tmp_path, "items", [film(TITLES[0], n)])
    call = work(engine, knowledge, "a").take()
    assert call is not None
    for n in range(2, 5):
        change(engine, settings, tmp_path, "items", [film(TITLES[n % 3], n)])
        change(engine, settings, tmp_path, "users", [person("a", n)])
    ledger = opened(engine, knowledge)
    assert ledger.claim([call])
    ledger.store([Result(call, ANSWER, call.prompt, 0)])
    ledger.close("")
    found = reproduce(engine, "a", 1, "summary")
    assert (found.prompt, found.text, found.model) == (call.prompt, ANSWER.text, knowledge.model)
    assert found.profiles_until is not None
    assert found.profiles_until < found.asked_at


def test_a_profile_that_changes_while_a_learner_reads_is_seen_in_none_of_its_parts(
    engine: Engine, settings: Settings, knowledge: Knowledge, tmp_path: Path, database_url: str
) -> None:
    add_user(engine, "a", 1)
    learner = db.engine(database_url)

    @event.listens_for(learner, "after_cursor_execute")
    def between(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "profiles of some users" in statement:  # users are read, items are not
            change(engine, settings, tmp_path, "users", [person("a", 1)])
            change(engine, settings, tmp_path, "items", [film(TITLES[0], 1)])

    asked: Asked = {}
    answer(learner, knowledge, "a", 1, asked)
    assert len(rows(engine, "SELECT FROM liber.user_past")) == 1
    assert_reproduced(engine, asked)


def test_a_later_change_does_not_become_visible_before_an_earlier_one(
    engine: Engine, settings: Settings, knowledge: Knowledge, tmp_path: Path
) -> None:
    add_user(engine, "a", 1)
    asked: Asked = {}
    later = threading.Thread(target=change, args=(engine, settings, tmp_path, "items", [film(TITLES[1], 2)]))
    with engine.begin() as earlier:
        earlier.execute(text("UPDATE liber.item SET title = 'New' WHERE item_id = :id"), {"id": TITLES[0]})
        later.start()
        while later.is_alive() and not waits_for_a_lock(engine):
            pass
        answer(engine, knowledge, "a", 1, asked)
    later.join()
    answer(engine, knowledge, "a", 9, asked)
    assert_reproduced(engine, asked)


def test_a_change_dates_from_when_it_was_made_not_from_when_its_transaction_began(
    engine: Engine, settings: Settings, knowledge: Knowledge, tmp_path: Path
) -> None:
    add_user(engine, "a", 1)
    asked: Asked = {}
    with engine.begin() as slow:
        slow.execute(text("SELECT now()"))
        change(engine, settings, tmp_path, "items", [film(TITLES[0], 1)])
        answer(engine, knowledge, "a", 1, asked)
        slow.execute(text("UPDATE liber.item SET title = 'New' WHERE item_id = :id"), {"id": TITLES[1]})
    assert_reproduced(engine, asked)


def waits_for_a_lock(engine: Engine) -> bool:
    """Whether somebody in this database waits for a lock."""
    statement = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return bool(rows(engine, statement)[0][0])


def test_one_text_is_asked_for_once_though_learners_read_different_profiles(
    engine: Engine, settings: Settings, knowledge: Knowledge, tmp_path: Path
) -> None:
    add_user(engine, "a", 1)
    calls: list[PartitionCall] = []
    for n in range(2):
        change(engine, settings, tmp_path, "items", [film(TITLES[0], n)])
        calls += [call for call in [work(engine, knowledge, "a").take()] if call]
    assert calls[0].key != calls[1].key
    ledgers = [opened(engine, knowledge, run_id) for run_id in ("one", "two")]
    assert ledgers[0].claim(calls[:1])
    assert not ledgers[1].claim(calls[1:])
    ledgers[0].store([Result(calls[0], ANSWER, calls[0].prompt, 0)])
    assert not ledgers[1].claim(calls[1:])
    for ledger in ledgers:
        ledger.close("")


def test_a_named_version_is_reproduced_with_its_own_summaries(
    engine: Engine, settings: Settings, knowledge: Knowledge
) -> None:
    add_user(engine, "a", 2)
    other = knowledge_version(settings.model_copy(update={"domain": "books", "llm_model": "org/Other-7B"}))
    first: Asked = {}
    second: Asked = {}
    answer(engine, knowledge, "a", 9, first)
    answer(engine, other, "a", 9, second)
    assert_reproduced(engine, second)
    for (user_id, number, kind), prompt in first.items():
        found = reproduce(engine, user_id, number, kind, knowledge_version=knowledge.version)
        assert (found.prompt, found.knowledge_version) == (prompt, knowledge.version)
        assert prompt != second[user_id, number, kind]


def test_what_is_not_learnt_is_said(engine: Engine, knowledge: Knowledge) -> None:
    add_user(engine, "a", 1)
    answer(engine, knowledge, "a", 9, {})
    with pytest.raises(InputError, match="no user 'nobody'"):
        reproduce(engine, "nobody", 1, "summary")
    with pytest.raises(InputError, match="Partition 2 of user 'a' has no summary: see"):
        reproduce(engine, "a", 2, "summary")
    with pytest.raises(InputError, match="Partition 1 of user 'a' has no shift: see"):
        reproduce(engine, "a", 1, "shift")
    with pytest.raises(InputError, match="has no summary of version 'v0': see"):
        reproduce(engine, "a", 1, "summary", knowledge_version="v0")


def test_a_text_comes_back_after_the_templates_and_packs_on_disk_have_changed(
    engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_user(engine, "a", 2)
    own = tmp_path / "own.toml"
    shutil.copy(packs.FOLDER / "movies.toml", own)
    made_with = [
        knowledge_version(settings.model_copy(update={"domain": name, "history_style": style}))
        for name in ("movies", str(own))
        for style in ("grounded", "titles")
    ]
    asked: list[Asked] = [{} for _ in made_with]
    for knowledge, kept in zip(made_with, asked, strict=True):
        answer(engine, knowledge, "a", 9, kept)

    other = tmp_path / "installed"
    other.mkdir()
    for kind in KINDS:
        names = " ".join("{{" + name + "}}" for name in sorted(prompts.VARIABLES[kind][0]))
        (other / f"{kind}.txt").write_text(f"Other words. {names}")
    (other / "movies.toml").write_text(own.read_text().replace("movies", "films").replace("liked = 4", "liked = 5"))
    own.unlink()
    monkeypatch.setattr(prompts, "_FOLDER", other)
    monkeypatch.setattr(packs, "FOLDER", other)
    prompts.template.cache_clear()
    try:
        now = knowledge_version(settings)
        assert now.version != made_with[0].version
        assert now.domain.items == "films"
        for knowledge, kept in zip(made_with, asked, strict=True):
            assert len(kept) == 3
            for (user_id, number, kind), prompt in kept.items():
                found = reproduce(engine, user_id, number, kind, knowledge_version=knowledge.version)
                assert found.prompt == prompt
                assert "Other words" not in found.prompt
    finally:
        prompts.template.cache_clear()


@pytest.mark.parametrize("style", ["grounded", "titles"])
@pytest.mark.parametrize("variant", ["full", "no_partition"])
def test_a_prompt_that_left_out_its_oldest_behaviours_comes_back(
    engine: Engine, settings: Settings, tmp_path: Path, style: str, variant: str
) -> None:
    add_user(engine, "a", 3, size=4)
    changes = {"history_style": style, "learn_variant": variant, "learn_length": 6}
    knowledge = knowledge_version(settings.model_copy(update=changes))
    asked: Asked = {}
    answer(engine, knowledge, "a", 1, asked)
    answer(engine, knowledge, "a", 1, asked, left_out=2)
    answer(engine, knowledge, "a", 9, asked, left_out=99)
    change(engine, settings, tmp_path, "items", [film(title, 3) for title in TITLES])
    missing = [re.findall(r"(\d+) older ones", asked["a", number, "summary"]) for number in (1, 2, 3)]
    assert missing == [[], ["2"], ["4" if variant == "full" else "6"]]
    assert_reproduced(engine, asked)


def test_without_partitioning_prompts_come_back_over_earlier_partitions(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    add_user(engine, "a", 4, size=3)
    for length in (5, 100):
        changes = {"learn_variant": "no_partition", "learn_length": length}
        asked: Asked = {}
        answer(engine, knowledge_version(settings.model_copy(update=changes)), "a", 2, asked)
        change(engine, settings, tmp_path, "items", [film(title, length) for title in TITLES[:3]])
        answer(engine, knowledge_version(settings.model_copy(update=changes)), "a", 9, asked)
        assert len(asked) == 4
        assert_reproduced(engine, asked)


def test_a_version_without_its_recipe_is_said_to_be_older_and_from_when(engine: Engine, knowledge: Knowledge) -> None:
    add_user(engine, "a", 1)
    answer(engine, knowledge, "a", 9, {})
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.knowledge_version SET recipe = NULL"))
    said = rf"summary 1 of user 'a' cannot be reproduced: version '{knowledge.version}' was made before templates and "
    with pytest.raises(LiberError, match=said + r".* Install the release that was in use on \d{4}-\d\d-\d\d"):
        reproduce(engine, "a", 1, "summary")


def test_a_recipe_that_was_damaged_gives_an_error_and_never_another_prompt(
    engine: Engine, knowledge: Knowledge
) -> None:
    add_user(engine, "a", 1)
    answer(engine, knowledge, "a", 9, {})
    for path, value, said in (
        ("{domain,items}", '"films"', "does not give its digest"),
        ("{templates,summary}", '"{{history}}"', "does not give its digest"),
        ("{domain,liked}", '"four"', "The domain pack kept with the knowledge version is wrong at liked"),
    ):
        with engine.begin() as connection:
            connection.execute(
                text(
                    "UPDATE liber.knowledge_version"
                    " SET recipe = jsonb_set(recipe, CAST(:p AS text[]), CAST(:v AS jsonb))"
                ),
                {"p": path, "v": value},
            )
        with pytest.raises((LiberError, InputError), match=said):
            reproduce(engine, "a", 1, "summary")


def test_a_prompt_whose_profiles_were_not_kept_is_an_error_and_never_another_prompt(
    engine: Engine, settings: Settings, knowledge: Knowledge, tmp_path: Path
) -> None:
    add_user(engine, "a", 2)
    answer(engine, knowledge, "a", 9, {})
    for n in range(3):
        change(engine, settings, tmp_path, "items", [film(TITLES[0], n)])
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM liber.item_past WHERE title = :title"), {"title": TITLES[0]})
    with pytest.raises(LiberError, match=r"summary 1 of user 'a' cannot be reproduced: .* any of the 3 profile states"):
        reproduce(engine, "a", 1, "summary")
    assert reproduce(engine, "a", 2, "summary").prompt  # none of its items changed
