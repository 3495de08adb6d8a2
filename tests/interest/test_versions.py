"""Keys of calls and knowledge versions: they change with what shapes a text and with nothing else."""

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from liber_tasks.interest import prompts
from liber_tasks.interest.prompts import KINDS, Kind, PromptTemplate, call_key, knowledge_of
from tests.interest.wording import STYLES, knowledge, prompts_of

QUESTIONS = st.tuples(
    st.sampled_from(["a", "b"]), st.integers(1, 2), st.sampled_from(["summary", "shift"]), st.sampled_from(["p", "q"]),
    st.sampled_from(["m", "n"]), st.sampled_from([8, 9]), st.sampled_from(["movies", "books"]),
    st.sampled_from(STYLES), st.booleans(),
)  # fmt: skip


@given(one=QUESTIONS, other=QUESTIONS)
@bounded(max_examples=80, deadline=None)
def test_call_keys_are_equal_exactly_when_the_questions_are(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    def key(
        user: str, number: int, kind: Kind, prompt: str, model: str, tokens: int, domain: str, style: str, guided: bool
    ) -> str:
        changes = {"llm_model": model, "summary_max_tokens": tokens, "history_style": style, "llm_guided": guided}
        return call_key(knowledge(domain, **changes), user, number, kind, prompt)

    assert (key(*one) == key(*other)) == (one == other)
    assert key(*one) == key(*one)


SHAPING: Sequence[dict[str, Any]] = (
    {"llm_model": "org/Llama 2 13B"}, {"domain": "books"}, {"summary_max_tokens": 7}, {"shift_max_tokens": 7},
    {"history_style": "titles"}, {"learn_variant": "no_shift"}, {"learn_variant": "no_partition"},
    {"learn_variant": "no_partition", "learn_length": 20}, {"llm_guided": False},
)  # fmt: skip
NOT_SHAPING: Sequence[dict[str, Any]] = (
    {"llm_in_flight": 3}, {"llm_url": "http://x"}, {"llm_timeout": 9}, {"llm_dialect": "tgi"}, {"learn_length": 20},
    {"learn_order": "active"}, {"learn_max_calls": 5}, {"learn_max_users": 5}, {"trace_share": 1}, {"partition_k": 7},
    {"learn_variant": "no_shift", "learn_length": 20},
)  # fmt: skip


def test_versions_change_with_everything_that_shapes_a_text_and_with_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def version(**changes: Any) -> str:
        return knowledge(**changes).version

    shaped = [version(), *(version(**changes) for changes in SHAPING)]
    for changes in NOT_SHAPING[:-1]:
        assert version(**changes) == shaped[0]
    assert version(**NOT_SHAPING[-1]) == version(learn_variant="no_shift")
    kept = prompts.template
    for kind in KINDS:
        new = PromptTemplate(kind, kept(kind).text + "!")
        monkeypatch.setattr(prompts, "template", lambda name, new=new: new if name == new.name else kept(name))
        shaped.append(version())
    monkeypatch.undo()
    monkeypatch.setattr(prompts, "WORDING", prompts.WORDING + 1)
    shaped.append(version())
    assert len(set(shaped)) == len(shaped)
    assert re.fullmatch(r"local-movies-[0-9a-f]{10}", shaped[0])
    assert re.fullmatch(r"Llama-2-13B-movies-[0-9a-f]{10}", shaped[1])


@pytest.mark.parametrize("changes", [{}, *SHAPING])
def test_a_version_is_made_again_from_what_the_database_keeps_of_it(changes: dict[str, Any]) -> None:
    made_with = knowledge(**changes)
    kept = json.loads(json.dumps([made_with.model, made_with.parameters, made_with.recipe]))
    again = knowledge_of(*kept)
    assert (again.version, again.summary_origin) == (made_with.version, made_with.summary_origin)
    assert (again.parameters, again.recipe, again.has_shift) == (
        made_with.parameters, made_with.recipe, made_with.has_shift,
    )  # fmt: skip
    assert [prompt for _, prompt in prompts_of(again)] == [prompt for _, prompt in prompts_of(made_with)]


def test_versions_that_ask_the_same_summaries_have_one_origin_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    origin = knowledge().summary_origin
    assert knowledge(learn_variant="no_shift").summary_origin == origin
    assert knowledge(shift_max_tokens=7).summary_origin == origin
    other = {
        knowledge(**changes).summary_origin
        for changes in SHAPING
        if changes not in ({"learn_variant": "no_shift"}, {"shift_max_tokens": 7})
    }
    assert len(other | {origin}) == len(SHAPING) - 2 + 1
    kept = prompts.template
    new: dict[str, PromptTemplate] = {kind: PromptTemplate(kind, kept(kind).text + "!") for kind in KINDS}
    monkeypatch.setattr(prompts, "template", lambda kind: new[kind] if kind == "shift" else kept(kind))
    assert knowledge().summary_origin == origin
    monkeypatch.setattr(prompts, "template", lambda kind: new[kind] if kind == "summary" else kept(kind))
    assert knowledge().summary_origin not in other | {origin}


def test_a_prompt_version_is_its_name_and_a_digest_of_its_text() -> None:
    one, other = PromptTemplate("summary", "a"), PromptTemplate("summary", "b")
    assert one.version != other.version
    assert PromptTemplate("summary", "a", "prompts:/x/1").version == one.version
    assert re.fullmatch(r"summary/[0-9a-f]{8}", one.version)


def test_the_shift_goes_with_the_variant() -> None:
    made = [knowledge(learn_variant=variant) for variant in ("full", "no_shift", "no_partition")]
    assert [each.has_shift for each in made] == [True, False, False]
    assert [each.length for each in made] == [None, None, 100]
