"""What each fault of an LLM server means for a call, and how the client paces itself."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import SecretStr

from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError, ServiceUnavailable
from liber_tasks.interest import llm
from liber_tasks.interest.llm import CallFailed, CallPoison, LlmClient, retry_after
from tests.conftest import free_port
from tests.interest.faults import GOOD, Reply, completion, faulty


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm, "FIRST_WAIT", 0.02)


def ask(settings: Settings, url: str, prompts: list[str], **changes: Any) -> list[Any]:
    """Ask all prompts at once; answers or errors in their order."""
    changed = settings.model_copy(update={"llm_url": url, "llm_patience": 1.0, "llm_timeout": 5.0} | changes)

    async def run() -> list[Any]:
        async with LlmClient(changed) as client:
            return await asyncio.gather(*(client.complete(prompt, 8) for prompt in prompts), return_exceptions=True)

    return asyncio.run(run())


def first(bad: Reply, times: int = 1) -> Any:
    """A plan: so many bad answers, then good ones."""
    return lambda number, _: bad if number < times else GOOD


def test_an_answer_carries_text_tokens_latency_and_reason(settings: Settings) -> None:
    with faulty(lambda *_: Reply(body=completion("  likes dramas\n"), delay=0.05)) as seen:
        (answer,) = ask(settings, seen.url, ["p"])
    assert (answer.text, answer.prompt_tokens, answer.completion_tokens) == ("likes dramas", 11, 7)
    assert answer.finish_reason == "stop"
    assert 0.05 <= answer.latency_seconds < 5


@pytest.mark.parametrize(
    "bad",
    [
        Reply(500, "boom"), Reply(502, "<html>"), Reply(424, '{"error": "cuda", "error_type": "generation"}'),
        Reply(200, "garbage"), Reply(200, "{}"), Reply(200, '{"choices": []}'), Reply(200, "[1]"), Reply(500, "[1]"),
        Reply(cut=30), Reply(429, "{}"), Reply(503, '{"error": {"message": "Loading model"}}'), Reply(429, "[1]"),
        Reply(200, completion("")), Reply(200, completion(" \n ")), Reply(200, completion(None)),
    ],
)  # fmt: skip
def test_a_passing_fault_is_retried(settings: Settings, bad: Reply) -> None:
    with faulty(first(bad)) as seen:
        (answer,) = ask(settings, seen.url, ["p"])
    assert answer.text == "likes 1"
    assert seen.prompts["p"] == 2


@pytest.mark.parametrize("bad", [Reply(500, "boom"), Reply(424, "{}"), Reply(200, "garbage"), Reply(cut=30)])
def test_a_lasting_fault_fails_the_call_after_bounded_tries(settings: Settings, bad: Reply) -> None:
    with faulty(lambda *_: bad) as seen:
        (error,) = ask(settings, seen.url, ["p"])
    assert isinstance(error, CallFailed)
    assert seen.prompts["p"] == llm.TRIES


def test_an_always_empty_answer_is_poison(settings: Settings) -> None:
    with faulty(lambda *_: Reply(200, completion(" "))) as seen:
        (error,) = ask(settings, seen.url, ["p"])
    assert isinstance(error, CallPoison)
    assert "empty" in str(error)
    assert seen.prompts["p"] == llm.TRIES


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_prompt_is_poison_at_once(settings: Settings, status: int) -> None:
    refusal = Reply(status, '{"error": "inputs must have less than 1024 tokens", "error_type": "validation"}')
    with faulty(lambda _, prompt: refusal if prompt == "bad" else GOOD) as seen:
        bad, good = ask(settings, seen.url, ["bad", "good"])
    assert isinstance(bad, CallPoison)
    assert f"HTTP {status}" in str(bad)
    assert "1024 tokens" in str(bad)
    assert seen.prompts["bad"] == 1
    assert good.text


def test_a_server_that_refuses_every_prompt_is_not_taken_for_poison(settings: Settings) -> None:
    with faulty(lambda *_: Reply(422, '{"error": "no such model"}')) as seen:
        errors = ask(settings, seen.url, ["p", "q"])
    assert all(type(error) is LiberError and "refuses every call" in str(error) for error in errors)


@pytest.mark.parametrize(("status", "hint"), [(401, "LIBER_LLM_TOKEN"), (404, "LIBER_LLM_MODEL"), (405, "chat API")])
def test_a_misconfigured_server_is_named_at_once(settings: Settings, status: int, hint: str) -> None:
    with faulty(lambda *_: Reply(status, "{}")) as seen:
        (error,) = ask(settings, seen.url, ["p"])
    assert type(error) is LiberError
    assert hint in str(error)
    assert seen.prompts["p"] == 1


def test_retry_after_is_obeyed_by_every_call(settings: Settings) -> None:
    with faulty(first(Reply(429, "{}", {"Retry-After": "1"}))) as seen:
        answers = ask(settings, seen.url, ["p", "q"], llm_in_flight=1)
    assert all(answer.text for answer in answers)
    assert seen.times[1] - seen.times[0] >= 0.95


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_server_is_given_up_after_patience(settings: Settings, status: int) -> None:
    begun = time.monotonic()
    with faulty(lambda *_: Reply(status, "{}")) as seen:
        (error,) = ask(settings, seen.url, ["p"], llm_patience=0.5)
    assert isinstance(error, ServiceUnavailable)
    assert "overloaded" in str(error)
    assert 0.5 <= time.monotonic() - begun < 5


def test_refusals_halve_the_calls_in_flight_and_answers_grow_them_again(settings: Settings) -> None:
    changed = settings.model_copy(update={"llm_in_flight": 16})

    async def run() -> list[float]:
        pace = LlmClient(changed.model_copy(update={"llm_url": "http://127.0.0.1:1"}))._pace
        started = time.monotonic()
        bounds = [pace.bound]
        for _ in range(5):  # refused together: halved once
            pace.overloaded(started, 0)
        bounds.append(pace.bound)
        pace.overloaded(time.monotonic(), 0)
        bounds.append(pace.bound)
        for _ in range(1000):
            pace.answered()
        return [*bounds, pace.bound]

    assert asyncio.run(run()) == [16, 8, 4, 16]


def test_no_more_calls_are_in_flight_than_set(settings: Settings) -> None:
    with faulty(lambda *_: Reply(delay=0.05)) as seen:
        ask(settings, seen.url, [f"p{n}" for n in range(12)], llm_in_flight=3)
    assert seen.most_in_flight == 3


def test_more_than_a_hundred_calls_can_be_in_flight(settings: Settings) -> None:
    with faulty(lambda *_: Reply(delay=1.0)) as seen:
        ask(settings, seen.url, [f"p{n}" for n in range(120)], llm_in_flight=120)
    assert seen.most_in_flight > 100


def test_a_hanging_server_times_out(settings: Settings) -> None:
    with faulty(lambda *_: Reply(delay=2)) as seen:
        (error,) = ask(settings, seen.url, ["p"], llm_timeout=0.2)
    assert isinstance(error, CallFailed)
    assert "0.2 s" in str(error)


def test_a_refused_connection_is_waited_for_then_named(settings: Settings) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    begun = time.monotonic()
    errors = ask(settings, url, ["p", "q"], llm_patience=0.5)
    assert 0.5 <= time.monotonic() - begun < 5
    for error in errors:
        assert isinstance(error, ServiceUnavailable)
        assert str(error) == (
            f"LLM server at {url} cannot be reached: start it or set LIBER_LLM_URL; "
            "nothing is lost, re-run to continue."
        )


def test_a_server_that_comes_up_within_patience_is_used(settings: Settings) -> None:
    port = free_port()
    changed = settings.model_copy(update={"llm_url": f"http://127.0.0.1:{port}", "llm_patience": 10.0})

    async def run() -> Any:
        async with LlmClient(changed) as client:
            waiting = asyncio.create_task(client.complete("p", 8))
            await asyncio.sleep(0.3)
            with faulty(lambda *_: GOOD, port):
                return await waiting

    assert asyncio.run(run()).text


def test_no_token_but_ours_is_sent(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_user")
    with faulty(lambda *_: GOOD) as seen:
        ask(settings, seen.url, ["p"])
        ask(settings, seen.url, ["p"], llm_token=SecretStr("ours"))
    without, with_token = (request.get("authorization", "") for request in seen.headers)
    assert "hf_of_the_user" not in without
    assert with_token == "Bearer ours"


def test_a_url_that_is_none_is_named(settings: Settings) -> None:
    with pytest.raises(InputError, match="LIBER_LLM_URL"):
        LlmClient(settings)
    with pytest.raises(InputError, match="'llm:80'"):
        LlmClient(settings.model_copy(update={"llm_url": "llm:80"}))


def test_retry_after_reads_seconds_and_dates() -> None:
    now = datetime(2020, 1, 1, tzinfo=UTC)
    date = format_datetime(now + timedelta(seconds=30), usegmt=True)
    headers = [None, "5", "0", "-3", date, format_datetime(now - timedelta(days=1), usegmt=True), "soon", "inf", "nan"]
    assert [retry_after(header, now) for header in headers] == [None, 5, 0, 0, 30, 0, None, None, None]
