"""A thousand calls in flight at once: all of them at the server together, and nothing left behind."""

import asyncio
import gc
import logging
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from liber_tasks.config import Settings, load
from liber_tasks.interest.llm import LlmClient
from liber_tasks.interest.server import replicas
from liber_tasks.interest.server.answers import Answer
from tests.bench.llm_fakes import Fake, fake_llm, raise_limit

MANY = 1000
A_ROUND = 200  # calls, where several rounds are compared under a memory tracer, which is slow
LEAK = 300  # bytes a call that may stay: a kept answer is about 1 kB, a kept connection 10 kB or more


@pytest.fixture(scope="module")
def server() -> Iterator[Fake]:
    """A server that holds calls until `MANY` of them wait."""
    raise_limit()
    with fake_llm(gate=MANY) as fake:
        yield fake


@pytest.fixture
def many(server: Fake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Settings:
    """Settings that let `MANY` calls be in flight, patient enough for a machine that is short of processors: a client
    that thought its server gone would let one call in at a time, and the gate would stay shut."""
    caplog.set_level(logging.WARNING)  # pytest keeps each line of a log, which is memory of each call
    monkeypatch.setattr(replicas, "CONNECT_SECONDS", 300.0)
    server.hold(MANY)
    return load(local=False, llm_url=server.url, llm_in_flight=MANY, llm_timeout=300)


def open_files() -> int:
    """File descriptors of this process, without the one that lists them."""
    return len(list(Path("/proc/self/fd").iterdir())) - 1


async def ask(client: LlmClient, calls: int = MANY) -> list[Answer]:
    """So many answers, asked for at once."""
    return await asyncio.gather(*(client.complete(f"Describe user {number}.", 20) for number in range(calls)))


async def one_round(settings: Settings, calls: int = MANY) -> list[Answer]:
    """A client of its own for so many calls."""
    async with LlmClient(settings) as client:
        return await ask(client, calls)


async def left_behind(server: Fake, files: int) -> tuple[int, set[asyncio.Task[object]]]:
    """Files opened since there were `files`, and tasks besides the current one, once the server has lost everybody."""
    await asyncio.to_thread(server.until, "connections", 1)  # the one that asks
    more = max(0, open_files() - files)  # what was open before may have been closed meanwhile
    return more, asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


def test_a_thousand_calls_are_in_flight_at_the_same_moment_and_leave_nothing_open(server: Fake, many: Settings) -> None:
    async def scenario() -> None:
        before = server.counts()["requests"]
        files = open_files()
        answers = await one_round(many)
        counts = await asyncio.to_thread(server.counts)
        assert counts["most_held"] == MANY  # none is answered before the last one is there
        assert counts["requests"] - before == MANY
        assert len(answers) == MANY
        assert all(answer.text and answer.prompt_tokens for answer in answers)
        assert await left_behind(server, files) == (0, set())

    asyncio.run(scenario())


def test_rounds_of_calls_do_not_add_up_in_memory(server: Fake, many: Settings) -> None:
    async def scenario() -> tuple[int, int]:
        sizes = []
        server.hold(A_ROUND)
        for _ in range(5):
            await one_round(many, A_ROUND)
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
        return sizes[1], sizes[4]

    tracemalloc.start()
    try:
        second, fifth = asyncio.run(scenario())
    finally:
        tracemalloc.stop()
    assert fifth - second < 3 * A_ROUND * LEAK


def test_a_thousand_calls_cancelled_midway_close_everything_and_give_their_places_back(
    server: Fake, many: Settings
) -> None:
    async def scenario() -> None:
        files = open_files()
        async with LlmClient(many) as client:
            server.hold(MANY + 1)  # nobody is answered
            calls = [asyncio.create_task(client.complete("Describe.", 20)) for _ in range(MANY)]
            await asyncio.to_thread(server.until, "held", MANY)
            for call in calls:
                call.cancel()
            ends = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(end) for end in ends] == [asyncio.CancelledError] * MANY
            await asyncio.to_thread(server.until, "held", 0)  # every connection with a cancelled call was closed
            server.hold(MANY)
            assert len(await ask(client)) == MANY  # they are only answered if all are in flight again
        assert await left_behind(server, files) == (0, set())

    asyncio.run(scenario())
