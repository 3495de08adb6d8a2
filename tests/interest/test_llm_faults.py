"""The fault matrix: what each fault of an LLM server comes to."""

import asyncio
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import SecretStr

from liber_tasks.config import Settings
from liber_tasks.errors import LiberError, ServiceUnavailable
from liber_tasks.interest import llm
from liber_tasks.interest.llm import CallFailed, CallPoison, LlmClient, Spent
from liber_tasks.interest.server import replicas
from tests.conftest import free_port
from tests.interest.asking import ask
from tests.interest.faults import GOOD, Reply, completion, faulty


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm, "FIRST_WAIT", 0.02)


@dataclass(frozen=True)
class Fault:
    """A lasting fault and what it must come to."""

    reply: Reply
    error: type[Exception]
    says: str
    asked: int = llm.TRIES
    spent: int = 0  # completion tokens
    guided: bool = False


def _text(content: Any, finish_reason: str = "stop") -> Reply:
    return Reply(200, completion(content, finish_reason))


OVER_DATE = format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)
LOOP = "Drama, " * 12
ALL = 3 * 7  # completion tokens of three answers
FAULTS = {
    "mid-stream death": Fault(Reply(reset=True), CallFailed, "connection broke"),
    "truncated body": Fault(Reply(cut=30), CallFailed, "connection broke"),
    "garbage": Fault(Reply(200, "garbage"), CallFailed, "cannot be read"),
    "not an object": Fault(Reply(200, "[1]"), CallFailed, "cannot be read"),
    "no choices": Fault(Reply(200, '{"choices": []}'), CallFailed, "cannot be read"),
    "content that is no text": Fault(_text({"a": 1}), CallFailed, "cannot be read", spent=ALL),
    "hanging": Fault(Reply(delay=1.0), CallFailed, "0.4 s (LIBER_LLM_TIMEOUT)"),
    "500": Fault(Reply(500, "boom"), CallFailed, "HTTP 500: boom"),
    "502 with HTML": Fault(Reply(502, "<html>"), CallFailed, "HTTP 502"),
    "424": Fault(Reply(424, '{"error": "cuda", "error_type": "generation"}'), CallFailed, "HTTP 424"),
    "408": Fault(Reply(408, "{}"), CallFailed, "HTTP 408"),
    "422": Fault(Reply(422, '{"error": "too long", "error_type": "validation"}'), CallPoison, "too long", asked=1),
    "400": Fault(Reply(400, "{}"), CallPoison, "HTTP 400", asked=1),
    "413": Fault(Reply(413, "{}"), CallPoison, "HTTP 413", asked=1),
    "401": Fault(Reply(401, "{}"), LiberError, "LIBER_LLM_TOKEN is missing or wrong", asked=1),
    "403": Fault(Reply(403, "{}"), LiberError, "LIBER_LLM_TOKEN may not", asked=1),
    "404": Fault(Reply(404, "{}"), LiberError, "LIBER_LLM_MODEL", asked=1),
    "405": Fault(Reply(405, "{}"), LiberError, "chat API", asked=1),
    "429": Fault(Reply(429, "{}"), ServiceUnavailable, "overloaded", asked=0),
    "429 with a date that has passed": Fault(
        Reply(429, "{}", {"Retry-After": OVER_DATE}), ServiceUnavailable, "overloaded", asked=0
    ),
    "429 for more than minutes": Fault(
        Reply(429, "{}", {"Retry-After": "301"}), ServiceUnavailable, "Retry-After: 301 s", asked=1
    ),
    "503 for more than minutes": Fault(
        Reply(503, "{}", {"Retry-After": "99999999"}), ServiceUnavailable, "Retry-After: 99999999 s", asked=1
    ),
    "503": Fault(Reply(503, "[1]"), ServiceUnavailable, "overloaded", asked=0),
    "empty": Fault(_text(" \n "), CallPoison, "empty", spent=ALL),
    "null content": Fault(_text(None), CallPoison, "empty", spent=ALL),
    "repeated": Fault(_text(LOOP), CallPoison, "loop", spent=ALL),
    "refused text": Fault(_text("I'm sorry, I can't help with that."), CallPoison, "refuses", spent=ALL),
    "instruction": Fault(_text("Bad is the prompt that is asked here."), CallPoison, "instruction", spent=ALL),
    "wrong schema": Fault(_text('{"summary": "likes"}'), CallPoison, "schema", spent=ALL, guided=True),
    "schema ignored": Fault(_text("likes dramas"), CallPoison, "schema", spent=ALL, guided=True),
    "cut before three words": Fault(_text('{"text": "li', "length"), CallPoison, "cut", spent=ALL, guided=True),
    "empty text by the schema": Fault(_text('{"text": ""}'), CallPoison, "empty", spent=ALL, guided=True),
}
BAD = "Bad is the prompt that is asked here."


def _settings(fault: Fault) -> dict[str, Any]:
    changes: dict[str, Any] = {"llm_timeout": 0.4 if fault.reply.delay else 20.0, "llm_patience": 0.3}
    return {**changes, "llm_dialect": "llamacpp"} if fault.guided else changes


def _good(fault: Fault) -> Reply:
    return _text('{"text": "likes dramas"}') if fault.guided else GOOD


@pytest.mark.parametrize("name", FAULTS)
def test_a_lasting_fault_has_a_bounded_end_that_names_it(settings: Settings, name: str) -> None:
    fault = FAULTS[name]
    with faulty(lambda _, prompt: fault.reply if prompt == BAD else _good(fault)) as seen:
        error, good = ask(settings, seen.url, [BAD, "good"], **_settings(fault))
    assert type(error) is fault.error
    assert fault.says in str(error)
    if fault.asked:
        assert seen.prompts[BAD] == fault.asked
    if isinstance(error, CallPoison | CallFailed):
        assert error.spent == Spent(11 * (fault.spent // 7), fault.spent)
        assert good.text.startswith("likes")  # nobody else's call


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.asked in (0, llm.TRIES)])
def test_a_passing_fault_is_retried(settings: Settings, name: str) -> None:
    fault = FAULTS[name]
    with faulty(lambda number, _: fault.reply if number == 0 else _good(fault)) as seen:
        (answer,) = ask(settings, seen.url, [BAD], **_settings(fault), llm_in_flight=1)
    assert answer.text.startswith("likes")
    assert seen.prompts[BAD] == 2
    assert seen.bodies[0] == seen.bodies[1]  # asked again, not asked for something else
    thrown = fault.spent // llm.TRIES
    assert answer.spent == Spent(11 + 11 * (thrown // 7), 7 + thrown)


def test_a_slow_answer_within_the_timeout_is_an_answer(settings: Settings) -> None:
    with faulty(lambda *_: Reply(delay=0.3)) as seen:
        (answer,) = ask(settings, seen.url, ["p"])
    assert answer.latency_seconds >= 0.3
    assert seen.prompts["p"] == 1


def test_what_a_cut_guided_answer_says_is_kept(settings: Settings) -> None:
    with faulty(lambda *_: _text('{"text": "likes dark films and', "length")) as seen:
        (answer,) = ask(settings, seen.url, ["p"], llm_dialect="llamacpp")
    assert (answer.text, answer.finish_reason) == ("likes dark films and", "length")


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


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_server_is_given_up_after_patience(settings: Settings, status: int) -> None:
    begun = time.monotonic()
    with faulty(lambda *_: Reply(status, "{}")) as seen:
        (error,) = ask(settings, seen.url, ["p"], llm_patience=0.5)
    assert isinstance(error, ServiceUnavailable)
    assert "overloaded" in str(error)
    assert 0.5 <= time.monotonic() - begun < 5


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


def test_a_server_that_takes_no_connections_is_waited_for_like_one_that_refuses_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "CONNECT_SECONDS", 0.2)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for other in (first, second):  # fill its queue; the kernel drops what comes after
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        (error,) = ask(settings, f"http://127.0.0.1:{full.getsockname()[1]}", ["p"], llm_patience=0.5)
    assert isinstance(error, ServiceUnavailable)
    assert "cannot be reached" in str(error)


def test_a_refusal_that_repeats_the_token_is_told_without_it(settings: Settings) -> None:
    with faulty(lambda *_: Reply(401, '{"error": {"message": "no such key: hidden-token"}}')) as seen:
        (error,) = ask(settings, seen.url, ["p"], llm_token=SecretStr("hidden-token"))
    assert "no such key: ***" in str(error)
    assert "hidden" not in str(error)
