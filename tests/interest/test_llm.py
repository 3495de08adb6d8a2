"""What each fault of an LLM server means for a call, and how the client paces itself."""

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import SecretStr

from liber_tasks.config import Settings
from liber_tasks.errors import InputError, ServiceUnavailable
from liber_tasks.interest import llm
from liber_tasks.interest.llm import LlmClient
from liber_tasks.interest.server import pace
from liber_tasks.interest.server.pace import retry_after
from tests.conftest import free_port
from tests.interest.asking import ask
from tests.interest.faults import GOOD, Reply, completion, faulty


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm, "FIRST_WAIT", 0.02)


def test_an_answer_carries_text_tokens_latency_and_reason(settings: Settings) -> None:
    with faulty(lambda *_: Reply(body=completion("  likes dramas\n"), delay=0.05)) as seen:
        (answer,) = ask(settings, seen.url, ["p"])
    assert (answer.text, answer.prompt_tokens, answer.completion_tokens) == ("likes dramas", 11, 7)
    assert answer.finish_reason == "stop"
    assert 0.05 <= answer.latency_seconds < 5


def test_retry_after_is_obeyed_by_every_call(settings: Settings) -> None:
    refusal = Reply(429, "{}", {"Retry-After": "1"})
    with faulty(lambda number, _: refusal if number == 0 else GOOD) as seen:
        answers = ask(settings, seen.url, ["p", "q"], llm_in_flight=1)
    assert all(answer.text for answer in answers)
    assert seen.times[1] - seen.times[0] >= 0.95


def test_refusals_halve_the_calls_in_flight_and_answers_grow_them_again(settings: Settings) -> None:
    changed = settings.model_copy(update={"llm_in_flight": 16})

    async def run() -> list[float]:
        paced = LlmClient(changed.model_copy(update={"llm_url": "http://127.0.0.1:1"}))._pace
        started = time.monotonic()
        bounds = [paced.bound]
        for _ in range(5):  # refused together: halved once
            paced.overloaded(started, 0)
        bounds.append(paced.bound)
        paced.overloaded(time.monotonic(), 0)
        bounds.append(paced.bound)
        for _ in range(1000):
            paced.answered()
        return [*bounds, paced.bound]

    assert asyncio.run(run()) == [16, 8, 4, 16]


def test_no_more_calls_are_in_flight_than_set(settings: Settings) -> None:
    with faulty(lambda *_: Reply(delay=0.05)) as seen:
        ask(settings, seen.url, [f"p{n}" for n in range(12)], llm_in_flight=3)
    assert seen.most_in_flight == 3


def test_more_than_a_hundred_calls_can_be_in_flight(settings: Settings) -> None:
    gate = threading.Event()

    def plan(number: int, _: str) -> Reply:
        if number == 100:
            gate.set()
        return Reply(held=gate)

    with faulty(plan) as seen:
        answers = ask(settings, seen.url, [f"p{n}" for n in range(120)], llm_in_flight=120, llm_timeout=60.0)
    assert all(answer.text for answer in answers)
    assert seen.most_in_flight > 100


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


def test_after_a_retry_after_calls_resume_apart_and_fewer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    spread = iter(range(1, 1000))
    monkeypatch.setattr(pace.random, "uniform", lambda low, high: low + (high - low) * (next(spread) % 10) / 10)
    refusal = Reply(429, "{}", {"Retry-After": "0.6"})
    with faulty(lambda number, _: refusal if number < 8 else Reply(delay=0.02)) as seen:
        answers = ask(settings, seen.url, [f"p{n}" for n in range(8)], llm_in_flight=8)
    assert all(answer.text for answer in answers)
    resumed = sorted(moment - max(seen.times[:8]) for moment in seen.times[8:])
    assert resumed[0] >= 0.55
    assert resumed[3] - resumed[0] >= 0.05  # four may start, each at its own moment


def test_a_server_that_was_down_is_not_met_by_all_that_waited(settings: Settings) -> None:
    port, arrivals = free_port(), []  # of each completion: its number, and how many are in flight
    changed = settings.model_copy(
        update={"llm_url": f"http://127.0.0.1:{port}", "llm_patience": 20.0, "llm_in_flight": 32}
    )

    async def run() -> list[Any]:
        async with LlmClient(changed) as client:
            waiting = [asyncio.create_task(client.complete(f"p{n}", 8)) for n in range(64)]
            while client._pace.bound > 1 or client._refusals < 2:
                await asyncio.sleep(0.01)

            def plan(number: int, _: str) -> Reply:
                arrivals.append((number, seen.in_flight))
                return Reply(delay=0.03)

            with faulty(plan, port) as seen:
                return await asyncio.gather(*waiting)

    assert all(answer.text for answer in asyncio.run(run()))
    assert len(arrivals) == 64
    for number, in_flight in arrivals:  # one, and one more for each that was answered
        assert in_flight <= 1 + (number + 1 - in_flight)
    assert max(in_flight for _, in_flight in arrivals) > 4


def test_when_one_gives_up_those_that_waited_do_too_without_a_try_each(settings: Settings) -> None:
    with faulty(lambda *_: Reply(503, "{}")) as seen:
        errors = ask(settings, seen.url, [f"p{n}" for n in range(200)], llm_patience=0.3)
    assert all(isinstance(error, ServiceUnavailable) for error in errors)
    assert 8 <= len(seen.prompts) < 100


def test_a_cancelled_call_leaves_no_connection_open(settings: Settings) -> None:
    gate = threading.Event()
    with faulty(lambda *_: Reply(held=gate), other=lambda *_: Reply(404, "{}", {"Connection": "close"})) as seen:
        changed = settings.model_copy(update={"llm_url": seen.url, "llm_in_flight": 4})

        async def run() -> bool:
            async with LlmClient(changed) as client:
                calls = [asyncio.create_task(client.complete(f"p{n}", 8)) for n in range(4)]
                while seen.in_flight < 4:
                    await asyncio.sleep(0.01)
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)
                gate.set()
                await client._replicas._replicas[0].probes.aclose()  # leaves those of the calls
                return await asyncio.to_thread(seen.idle.wait, 10)

        assert asyncio.run(run())
    assert seen.connections == 0
