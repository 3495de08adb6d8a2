"""What a backlog will cost: calls exactly, tokens as they turn out, hours at the measured rate, nothing written."""

import json
import math
from typing import Any

import pytest
from sqlalchemy import Engine

from liber_tasks import db
from liber_tasks.config import Settings
from liber_tasks.interest import plan as planning
from liber_tasks.interest.learn import LearnReport, learn
from tests.interest.data import add_user, rows
from tests.interest.faults import Reply, Seen, completion, faulty

# As long as an answer is reckoned to be before the first one: 40 tokens of 4 characters.
LONG = " ".join(f"word{number:03}" for number in range(20)) + "."


def measured(asked: dict[str, Any]) -> str:
    """An answer of 160 characters whose prompt had a token for every four characters, and which took 40 itself."""
    said = json.loads(completion(LONG))
    said["usage"] = {"prompt_tokens": round(len(asked["messages"][0]["content"]) / 4), "completion_tokens": 40}
    return json.dumps(said)


ANSWER = Reply(body=measured)


def at(settings: Settings, server: Seen, **changes: Any) -> Settings:
    """Settings for a server, one call at a time."""
    return settings.model_copy(update={"llm_url": server.url, "llm_in_flight": 1} | changes)


def dry(engine: Engine, settings: Settings, **bounds: Any) -> LearnReport:
    """A dry run on connections that cannot write; no server is there either."""
    url = settings.require("database_url")
    reading = db.engine(f"{url}{'&' if '?' in url else '?'}options=-cdefault_transaction_read_only%3Don")
    try:
        assert rows(reading, "SHOW default_transaction_read_only") == [("on",)]
        return learn(reading, settings.model_copy(update={"llm_url": None}), dry_run=True, **bounds)
    finally:
        reading.dispose()


def test_answers_here_are_as_long_as_is_reckoned() -> None:
    assert len(LONG) == 160


def test_for_few_users_calls_and_prompt_tokens_are_exactly_those_of_the_run(engine: Engine, settings: Settings) -> None:
    for number in range(4):
        add_user(engine, f"u{number}", number + 1, size=2 + number)
    plan = dry(engine, settings)
    with faulty(lambda *_: ANSWER) as seen:
        report = learn(engine, at(settings, seen))
    assert (plan.summaries, plan.shifts, plan.calls) == (report.summaries, report.shifts, report.calls) == (10, 6, 16)
    assert (plan.users, plan.pending_summaries, plan.pending_shifts) == (4, 10, 6)
    assert plan.prompt_tokens == round(sum(map(len, seen.prompts.elements())) / 4)
    assert abs(plan.prompt_tokens - report.prompt_tokens) <= 16  # each prompt's tokens are whole
    assert plan.completion_tokens == 10 * settings.summary_max_tokens + 6 * settings.shift_max_tokens
    assert plan.hours is None
    after = dry(engine, settings)
    assert (after.calls, after.prompt_tokens, after.completion_tokens, after.hours) == (0, 0, 0, 0.0)


def test_for_many_users_calls_stay_exact_and_tokens_are_near(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        add_user(engine, f"u{number}", 2)
    every = dry(engine, settings)
    monkeypatch.setattr(planning, "USERS_RENDERED", 3)
    plan = dry(engine, settings)
    assert (plan.summaries, plan.shifts) == (every.summaries, every.shifts) == (24, 12)
    assert plan.prompt_tokens == pytest.approx(every.prompt_tokens, rel=0.02)  # users differ in a word or two
    assert plan.completion_tokens == every.completion_tokens


@pytest.mark.parametrize("variant", ["no_shift", "no_partition"])
def test_a_variant_is_reckoned_as_it_is_asked(engine: Engine, settings: Settings, variant: str) -> None:
    add_user(engine, "a", 5)
    changes = {"learn_variant": variant, "learn_length": 9}
    plan = dry(engine, settings.model_copy(update=changes))
    with faulty(lambda *_: ANSWER) as seen:
        report = learn(engine, at(settings, seen, **changes))
    assert (plan.summaries, plan.shifts) == (report.summaries, report.shifts) == (5, 0)
    assert plan.prompt_tokens == round(sum(map(len, seen.prompts.elements())) / 4)


def test_summaries_that_a_run_will_adopt_are_not_reckoned(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 4)
    add_user(engine, "b", 2)
    with faulty(lambda *_: ANSWER) as seen:
        learn(engine, at(settings, seen, learn_variant="no_shift"), users=["a"])
        plan = dry(engine, settings)
        assert (plan.summaries, plan.shifts) == (2, 4)
        report = learn(engine, at(settings, seen))
    assert (report.summaries, report.shifts, report.adopted) == (2, 4, 4)
    assert dry(engine, settings.model_copy(update={"learn_variant": "no_shift"})).calls == 0


def test_what_was_set_aside_is_not_reckoned(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 3, size=1, titles=("Poison", "Fargo", "Heat"))
    with faulty(lambda _, prompt: Reply(422, "{}") if "Poison" in prompt else ANSWER) as seen:
        learn(engine, at(settings, seen), max_calls=1)
        plan = dry(engine, settings)
        assert (plan.summaries, plan.shifts) == (2, 1)
        assert learn(engine, at(settings, seen)).calls == 3


def test_hours_are_unknown_before_the_first_call_then_those_of_the_measured_rate(
    engine: Engine, settings: Settings
) -> None:
    add_user(engine, "a", 6)
    add_user(engine, "b", 6)
    assert dry(engine, settings).hours is None
    with faulty(lambda *_: ANSWER) as seen:
        report = learn(engine, at(settings, seen), users=["a"])
    plan = dry(engine, settings)
    assert plan.calls == report.calls == 11
    assert plan.hours is not None
    assert math.isfinite(plan.hours)
    assert 0 < plan.hours * 3600 <= report.seconds * 11 / 10  # ten gaps lay between the run's eleven answers
    half = dry(engine, settings, max_calls=5)
    assert half.hours == pytest.approx(plan.hours * 5 / 11)
    assert dry(engine, settings.model_copy(update={"llm_model": "other"})).hours is None  # another model, another rate


def test_tokens_are_reckoned_as_answers_were_so_far(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 3)
    add_user(engine, "b", 3)

    def terse(asked: dict[str, Any]) -> str:
        said = json.loads(completion("likes slow films"))
        said["usage"] = {"prompt_tokens": len(asked["messages"][0]["content"]), "completion_tokens": 5}
        return json.dumps(said)

    with faulty(lambda *_: Reply(body=terse)) as seen:
        report = learn(engine, at(settings, seen), users=["a"])
        plan = dry(engine, settings)
        second = learn(engine, at(settings, seen))
    assert plan.completion_tokens == report.completion_tokens == 5 * 5
    assert plan.prompt_tokens == second.prompt_tokens  # a token a character, summaries of sixteen characters


def test_a_plan_goes_as_far_as_the_budget(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 6)
    whole = dry(engine, settings)
    assert dry(engine, settings, max_calls=4).calls == 4
    assert dry(engine, settings, max_calls=100).calls == whole.calls
    tokens = (whole.prompt_tokens + whole.completion_tokens) // 2
    part = dry(engine, settings, max_tokens=tokens)
    assert 0 < part.prompt_tokens + part.completion_tokens <= 1.05 * tokens
    assert part.calls == whole.calls // 2
    assert dry(engine, settings, max_tokens=0).calls == 0
    for calls in range(0, whole.calls + 1, 3):
        bounded = dry(engine, settings, max_calls=calls)
        assert bounded.summaries + bounded.shifts == calls
        assert 0 <= bounded.shifts <= whole.shifts
    with faulty(lambda *_: ANSWER) as seen:
        learn(engine, at(settings, seen), max_calls=3)
    assert dry(engine, settings, max_seconds=0).calls == 0
    assert dry(engine, settings, max_seconds=86_400).calls == whole.calls - 3


def test_a_dry_run_writes_nothing_and_asks_nobody(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 3)
    with faulty(lambda *_: ANSWER) as seen:
        learn(engine, at(settings, seen), dry_run=True, retry_quarantined=True)
        assert (seen.others, dict(seen.prompts)) == ([], {})
    written = (
        "SELECT FROM liber.interest UNION ALL SELECT FROM liber.llm_call UNION ALL SELECT FROM liber.knowledge_version"
    )
    assert rows(engine, written) == []
