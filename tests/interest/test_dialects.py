"""Kinds of LLM server: recognised, asked for guided output, counting tokens."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import SecretStr

from liber_tasks.config import Settings
from liber_tasks.errors import LiberError
from liber_tasks.interest import llm
from liber_tasks.interest.llm import Answer, LlmClient
from liber_tasks.interest.server.answers import SCHEMA
from liber_tasks.interest.server.dialects import CHAT_TOKENS, WRAPPING_TOKENS, Served
from tests.interest.faults import GOOD, Reply, faulty
from tests.interest.impersonators import MODEL, TEMPLATE, TEXT, sglang, tgi, vllm

KINDS: dict[str, Any] = {
    "tgi": tgi,
    "vllm": vllm,
    "vllm before 0.11": lambda **more: vllm(version="0.10.2", **more),
    "sglang": sglang,
    "sglang with the older endpoints": lambda **more: sglang(old=True, **more),
}
KIND = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm, "FIRST_WAIT", 0.02)


def using(settings: Settings, url: str, work: Callable[[LlmClient], Awaitable[Any]], **changes: Any) -> Any:
    """Result of work with a client."""
    changed = settings.model_copy(update={"llm_url": url, "llm_patience": 1.0, "llm_timeout": 10.0} | changes)

    async def run() -> Any:
        async with LlmClient(changed) as client:
            return await work(client)

    return asyncio.run(run())


def answer(settings: Settings, url: str, **changes: Any) -> Answer:
    result = using(settings, url, lambda client: client.complete("What?", 8), **changes)
    assert isinstance(result, Answer)
    return result


@KIND
def test_a_server_is_recognised_and_its_output_follows_the_schema(settings: Settings, kind: str) -> None:
    with KINDS[kind]() as seen:
        found = answer(settings, seen.url)
    assert found.server == f"{kind.split()[0]} {MODEL}"
    assert found.guided
    assert found.text == TEXT
    (body,) = seen.bodies
    assert body["max_tokens"] == 8 + WRAPPING_TOKENS
    assert body["temperature"] == 0
    assert "presence_penalty" not in body


@KIND
def test_guidance_can_be_switched_off(settings: Settings, kind: str) -> None:
    with KINDS[kind]() as seen:
        found = answer(settings, seen.url, llm_guided=False)
    assert (found.text, found.guided) == (TEXT, False)
    assert set(seen.bodies[0]) == {"model", "messages", "max_tokens", "temperature", "stream"}
    assert seen.bodies[0]["max_tokens"] == 8


def test_an_unknown_server_is_asked_for_plain_text(settings: Settings) -> None:
    with faulty(lambda *_: GOOD) as seen:
        found = answer(settings, seen.url, llm_model="some-model")
    assert (found.server, found.guided) == ("openai some-model", False)


def test_a_named_dialect_is_believed(settings: Settings) -> None:
    reply = Reply(body=lambda body: json.dumps({"choices": [{"index": 0, "finish_reason": "stop", "message": {
        "role": "assistant", "content": json.dumps({"text": json.dumps(body["response_format"])})}}]}))  # fmt: skip
    with faulty(lambda *_: reply) as seen:
        found = answer(settings, seen.url, llm_dialect="tgi", llm_model="some-model")
    assert (found.server, found.guided) == ("tgi some-model", True)
    assert json.loads(found.text) == {"type": "json_object", "value": SCHEMA, "schema": SCHEMA}
    with vllm() as seen:
        assert answer(settings, seen.url, llm_dialect="openai").server == f"openai {MODEL}"


@KIND
def test_a_server_is_probed_once_at_its_root_with_the_token(settings: Settings, kind: str) -> None:
    async def several(client: LlmClient) -> None:
        await asyncio.gather(*(client.complete(f"What {number}?", 8) for number in range(8)))

    with KINDS[kind]() as seen:
        using(settings, f"{seen.url}/v1", several, llm_token=SecretStr("ours"))
    assert sum(seen.prompts.values()) == 8
    assert len(seen.others) == len(set(seen.others)) <= 3
    assert not [path for path in seen.others if path.startswith("/v1/v1") or path == "/v1/info"]
    assert {headers["authorization"] for headers in seen.other_headers + seen.headers} == {"Bearer ours"}


@KIND
def test_excess_is_what_the_servers_tokenizer_says(settings: Settings, kind: str) -> None:
    prompt = "word " * 400  # far more than the context of 200
    with KINDS[kind]() as seen:
        over = using(settings, seen.url, lambda client: client.excess(prompt, 20))
    if kind == "tgi":  # its bound on the prompt alone binds first with a short answer
        assert over == max(400 + TEMPLATE + 20 + WRAPPING_TOKENS - 200, 400 + TEMPLATE - 150)
    else:
        template = CHAT_TOKENS if "older" in kind else TEMPLATE  # bare text is counted: room for any template
        assert over == 400 + template + 20 + WRAPPING_TOKENS - 200
    assert not seen.prompts


def test_tgi_bounds_the_prompt_alone_too(settings: Settings) -> None:
    with tgi(context=1000, prompt=100) as seen:
        over = using(settings, seen.url, lambda client: client.excess("word " * 400, 20))
    assert over == 400 + TEMPLATE - 100


@KIND
def test_a_prompt_that_surely_fits_is_not_counted(settings: Settings, kind: str) -> None:
    more = {"context": 2000, "prompt": 1900} if kind == "tgi" else {"context": 2000}

    async def both(client: LlmClient) -> tuple[int, int]:
        return await client.excess("word " * 100, 20), await client.excess("word " * 900, 20)

    with KINDS[kind](**more) as seen:
        assert using(settings, seen.url, both) == (0, 0)
    counting = [path for path in seen.others if "tokenize" in path]
    assert len(counting) == (2 if "older" in kind else 1)  # the long prompt alone; the older one is asked twice


def test_a_server_that_cannot_count_gives_no_excess(settings: Settings) -> None:
    with faulty(lambda *_: GOOD) as seen:
        assert using(settings, seen.url, lambda client: client.excess("word " * 99999, 20)) == 0
    assert not seen.prompts


def test_replicas_of_different_models_are_refused_with_both_names(settings: Settings) -> None:
    async def two(client: LlmClient) -> list[Any]:
        calls = (client.complete(f"What {number}?", 8) for number in range(2))
        return await asyncio.gather(*calls, return_exceptions=True)

    with ExitStack() as stack:
        one, other = stack.enter_context(tgi(model="org/a")), stack.enter_context(vllm(model="org/b"))
        found = using(settings, f"{one.url},{other.url}", two)
    errors = [error for error in found if isinstance(error, Exception)]
    assert len(errors) == 1
    assert type(errors[0]) is LiberError
    for name in ("org/a", "org/b", one.url, other.url, "LIBER_LLM_URL"):
        assert name in str(errors[0])


def test_a_server_that_ignores_the_schema_is_named_and_not_taken_for_poison(settings: Settings) -> None:
    with faulty(lambda *_: GOOD) as seen, pytest.raises(LiberError, match="LIBER_LLM_GUIDED=false") as raised:
        answer(settings, seen.url, llm_dialect="vllm")
    assert type(raised.value) is LiberError


@pytest.mark.parametrize("status", [401, 500, 503])
def test_a_probe_that_fails_is_judged_like_a_call(settings: Settings, status: int) -> None:
    with faulty(lambda *_: GOOD, other=lambda *_: Reply(status, "{}")) as seen, pytest.raises(LiberError) as raised:
        answer(settings, seen.url, llm_patience=0.1)
    assert f"HTTP {status}" in str(raised.value)
    assert ("LIBER_LLM_TOKEN" in str(raised.value)) == (status == 401)
    assert not seen.prompts


def test_the_embedded_server_is_recognised_counts_and_follows_the_schema(settings: Settings, llm_url: str) -> None:
    prompt = "Films: " + "Blade Runner, " * 500

    async def work(client: LlmClient) -> Any:
        guided = await client.complete("Name one kind of film in a sentence.", 24)
        return guided, await client.excess(prompt, 100), await client.excess("short", 10)

    guided, over, none = using(settings, llm_url, work, llm_timeout=60.0)
    assert guided.server.startswith("llamacpp SmolLM2-135M")
    assert "/" not in guided.server
    assert guided.guided
    assert not guided.text.startswith("{")
    assert none == 0

    def usage(text: str) -> Any:
        return using(settings, llm_url, lambda client: client.complete(text, 1), llm_guided=False, llm_timeout=60.0)

    short = "Films: " + "Blade Runner, " * 20
    counted = [using(settings, llm_url, lambda client, text=text: client.excess(text, 9999), llm_guided=False)
               for text in (short, prompt)]  # fmt: skip
    assert counted[0] - 9999 + 2048 == usage(short).prompt_tokens  # the server's own count of the call
    assert over == counted[1] - 9999 + 100 + WRAPPING_TOKENS > 0


def test_bounds_of_a_server_that_says_nothing_are_never_passed() -> None:
    silent = Served("openai", "m")
    assert silent.over(10**9, 10**9) == 0
    assert silent.surely_takes("x" * 10**6, 10**6)


def test_a_token_may_be_as_short_as_a_byte() -> None:
    served = Served("vllm", "m", context=CHAT_TOKENS + 14)
    assert served.surely_takes("żółw", 7)  # 7 bytes
    assert not served.surely_takes("żółw", 8)
