"""A thousand calls in flight at once: all of them at the server together, and nothing left behind."""

import asyncio
import gc
import os
import tracemalloc
from collections.abc import Iterator

import pytest

from liber_tasks.config import Settings, load
from liber_tasks.interest.answers import Answer
from liber_tasks.interest.llm import LlmClient
from tests.bench.llm_fakes import Fake, fake_llm, raise_limit

MANY = 1000
ROUND_BYTES = 300_000  # 300 bytes a call: an answer kept is 1 kB, a connection kept 10 kB or more


@pytest.fixture(scope="module")
def server() -> Iterator[Fake]:
    """A server that holds calls until `MANY` of them wait."""
    raise_limit()
    with fake_llm(gate=MANY) as fake:
        yield fake


@pytest.fixture
def many(server: Fake) -> Settings:
    """Settings that let `MANY` calls be in flight."""
    server.hold(MANY)
    return load(local=False, llm_url=server.url, llm_in_flight=MANY)


def open_files() -> int:
    """File descriptors of this process, without the one that lists them."""
    return len(os.listdir("/proc/self/fd")) - 1


async def ask_many(client: LlmClient) -> list[Answer]:
    """`MANY` answers, asked for at once."""
    return await asyncio.gather(*(client.complete(f"Describe user {number}.", 20) for number in range(MANY)))


async def one_round(settings: Settings) -> list[Answer]:
    """A client of its own for `MANY` calls."""
    async with LlmClient(settings) as client:
        return await ask_many(client)


async def left_behind(server: Fake, files: int) -> tuple[int, set[asyncio.Task[object]]]:
    """Files opened since there were `files`, and tasks besides the current one, once the server has lost everybody."""
    await asyncio.to_thread(server.until, "connections", 1)  # the one that asks
    return open_files() - files, asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


def test_a_thousand_calls_are_in_flight_at_the_same_moment_and_leave_nothing_open(
    server: Fake, many: Settings
) -> None:
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


def test_rounds_of_a_thousand_calls_do_not_add_up_in_memory(many: Settings) -> None:
    async def scenario() -> tuple[int, int]:
        sizes = []
        for _ in range(5):
            await one_round(many)
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
        return sizes[1], sizes[4]

    tracemalloc.start()
    try:
        second, fifth = asyncio.run(scenario())
    finally:
        tracemalloc.stop()
    assert fifth - second < 3 * ROUND_BYTES


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
            assert len(await ask_many(client)) == MANY  # they are only answered if all are in flight again
        assert await left_behind(server, files) == (0, set())

    asyncio.run(scenario())
