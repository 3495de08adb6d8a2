"""History style described: summaries also show what the LLM said about items, of one version, within bounds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError
from liber_tasks.interest.behavior import Behavior
from liber_tasks.interest.item_prompt import item_knowledge
from liber_tasks.interest.items import learn_items
from liber_tasks.interest.learn import learn
from liber_tasks.interest.prompts import HISTORY_CHARACTERS, knowledge_of
from liber_tasks.interest.reproduce import reproduce
from liber_tasks.interest.summary import summary_prompt
from liber_tasks.interest.wording.descriptions import EXCERPT_CHARACTERS, WORDS, descriptions
from tests.interest.data import add_user, rows
from tests.interest.faults import GOOD, Reply, completion, faulty
from tests.interest.test_prompts import TEXTS
from tests.interest.wording import knowledge


def rated(title: str, rating: float | None, said: str = "") -> Behavior:
    """A rating of an item of which this is said."""
    return Behavior(title, {}, "rating", rating, None, said)


def lines_of(prompt: str) -> list[str]:
    """The lines that describe items."""
    return [line for line in prompt.split("\n") if line.startswith(('Liked "', 'Disliked "'))]


def described(**changes: Any) -> Any:
    return knowledge(history_style="described", **changes)


def test_liked_and_disliked_items_are_described_oldest_first_and_the_rest_is_as_grounded() -> None:
    behaviors = [
        rated("Heat", 5, "A crime film."), rated("Ran", 3, "A war film."), rated("Alien", 1, "A horror film."),
        rated("Brazil", 4), rated("Fargo", None, "A comedy."), rated("Heat", 4, "A crime film."),
    ]  # fmt: skip
    prompt = summary_prompt(described(), {}, behaviors)
    assert lines_of(prompt) == [
        'Disliked "Alien": "A horror film."', 'Liked "Fargo": "A comedy."', 'Liked "Heat": "A crime film."',
    ]  # fmt: skip
    rest = [line for line in prompt.split("\n") if line not in lines_of(prompt)]
    assert rest == summary_prompt(knowledge(), {}, behaviors).split("\n")


def test_an_excerpt_has_the_first_words_and_ends_where_a_word_has_no_end() -> None:
    pack = knowledge().domain
    long = " ".join(f"word{number}" for number in range(WORDS + 5))
    line = descriptions(pack, [rated("Heat", 5, long)], 9999)
    said = json.loads(line.removeprefix('Liked "Heat": '))
    assert said.split()[-1] == f"word{WORDS - 1}…"
    assert len(said.split()) == WORDS
    endless = descriptions(pack, [rated("Heat", 5, "x" * 5000)], 9999)
    assert len(endless) < EXCERPT_CHARACTERS + 20


def test_the_oldest_are_left_out_where_there_are_too_many() -> None:
    behaviors = [rated(f"Film {number}", 5, f"number {number} {'y' * 80}") for number in range(300)]
    shown = descriptions(knowledge().domain, behaviors, HISTORY_CHARACTERS).split("\n")
    assert sum(len(line) + 1 for line in shown) <= HISTORY_CHARACTERS
    assert shown[-1].startswith('Liked "Film 299"')
    assert [line.split('"')[1] for line in shown] == [f"Film {number}" for number in range(300 - len(shown), 300)]
    one_less = 1 + sum(len(line) + 1 for line in shown[1:])
    assert len(descriptions(knowledge().domain, behaviors, one_less).split("\n")) == len(shown) - 1


def test_what_is_left_out_of_the_history_is_not_described_either() -> None:
    behaviors = [rated(f"Film {number}", 5, "said " * number) for number in range(1, 9)]
    sizes = [len(summary_prompt(described(), {}, behaviors, left_out=left)) for left in range(1, 9)]
    assert sizes == sorted(sizes, reverse=True)
    assert lines_of(summary_prompt(described(), {}, behaviors, left_out=8)) == []


@given(titles=st.lists(TEXTS, min_size=1, max_size=4), said=TEXTS)
@bounded(max_examples=80, deadline=None)
def test_what_a_model_said_stays_inside_its_quotes(titles: list[str], said: str) -> None:
    behaviors = [rated(title, 5, said) for title in titles]
    prompt = summary_prompt(described(), {}, behaviors)
    lines = prompt.split("\n")
    assert prompt.splitlines() == lines
    plain = summary_prompt(knowledge(), {}, behaviors).split("\n")
    more = lines[len(plain) - 1 : -1]
    assert (lines[: len(plain) - 1], lines[-1]) == (plain[:-1], plain[-1])
    for line in more:
        title, _, excerpt = json.loads("[" + line.removeprefix("Liked ").replace('": "', '", 0, "', 1) + "]")
        assert isinstance(title, str)
        assert len(excerpt) <= EXCERPT_CHARACTERS
    assert not set("<>[]|") & set(prompt)


def test_versions_name_the_texts_they_show_and_other_styles_are_as_they_were() -> None:
    one, other = described(), described(item_max_tokens=9)
    assert one.items == item_knowledge(Settings(_env_file=None)).version
    assert len({one.version, other.version, knowledge().version}) == 3
    assert len({one.summary_origin, other.summary_origin, knowledge().summary_origin}) == 3
    assert described(item_knowledge_version="mine").items == "mine"
    assert "items" not in knowledge().parameters
    assert knowledge(item_knowledge_version="mine").version == knowledge().version
    again = knowledge_of(*json.loads(json.dumps([one.model, one.parameters, one.recipe])))
    assert (again.version, again.items) == (one.version, one.items)


def test_summaries_show_the_texts_of_the_version_in_use_only(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 1, size=4, titles=("Heat", "Ran", "Alien", "Brazil"))
    with faulty(lambda *_: Reply(body=completion("the first version said so"))) as seen:
        first = learn_items(engine, settings.model_copy(update={"llm_url": seen.url, "item_max_tokens": 9}))
    with faulty(lambda *_: Reply(body=completion("the second version said so"))) as seen:
        second = learn_items(engine, settings.model_copy(update={"llm_url": seen.url}))
    for version, said in ((first.knowledge_version, "the first version"), (None, "the second version")):
        with faulty(lambda *_: GOOD) as seen:
            live = settings.model_copy(
                update={"llm_url": seen.url, "history_style": "described", "item_knowledge_version": version}
            )
            report = learn(engine, live)
        ((prompt, count),) = seen.prompts.items()
        assert (report.summaries, report.adopted, count) == (1, 0, 1)
        assert lines_of(prompt) == [f'{how} "{title}": "{said} said so"' for how, title in
                                    (("Disliked", "Heat"), ("Liked", "Alien"), ("Liked", "Brazil"))]  # fmt: skip
        assert reproduce(engine, "a", 1, "summary", knowledge_version=report.knowledge_version).prompt == prompt
    kept = rows(engine, "SELECT parameters ->> 'items' FROM liber.knowledge_version WHERE summary_prompt IS NOT NULL"
                        " ORDER BY created_at")  # fmt: skip
    assert [row[0] for row in kept] == [first.knowledge_version, second.knowledge_version]
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.item_knowledge SET text = 'other words'"))
    with pytest.raises(LiberError, match="a text about an item was replaced"):
        reproduce(engine, "a", 1, "summary", knowledge_version=report.knowledge_version)


def test_a_described_version_can_be_pinned_and_continued(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 3)
    with faulty(lambda *_: GOOD) as seen:
        live = settings.model_copy(update={"llm_url": seen.url})
        learn_items(engine, live)
        first = learn(engine, live.model_copy(update={"history_style": "described"}), max_calls=1)
        rest = learn(engine, live.model_copy(update={"knowledge_version": first.knowledge_version}))
    assert (rest.knowledge_version, rest.calls) == (first.knowledge_version, 4)
    assert all(lines_of(prompt) for prompt in seen.prompts if "User: " in prompt)


def test_without_any_text_about_items_nothing_is_asked(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 1)
    with pytest.raises(InputError, match="run `liber learn --items`"):
        learn(engine, settings.model_copy(update={"history_style": "described", "llm_url": "http://127.0.0.1:9"}))
    assert rows(engine, "SELECT FROM liber.knowledge_version") == []
