"""Several servers behind one client."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest

from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from liber_tasks.interest import llm
from liber_tasks.interest.llm import LlmClient
from liber_tasks.interest.server import replicas
from liber_tasks.interest.server.replicas import Replica, Replicas
from tests.conftest import free_port
from tests.interest.faults import ABSENT, GOOD, Reply, faulty

LOADING = Reply(503, '{"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}')


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(replicas, "REST_SECONDS", 0.0)


def using(
    settings: Settings, work: Callable[[Replicas], Awaitable[Any]], urls: str = "http://127.0.0.1:1,http://127.0.0.1:2"
) -> Any:
    """Result of work with replicas."""

    async def run() -> Any:
        both = Replicas(settings.model_copy(update={"llm_url": urls}))
        try:
            return await work(both)
        finally:
            await both.close()

    return asyncio.run(run())


def picked(both: Replicas) -> Replica:
    with both.pick() as replica:
        return replica


def test_calls_spread_over_the_servers_evenly(settings: Settings) -> None:
    async def work(both: Replicas) -> None:
        with both.pick() as first, both.pick() as second, both.pick() as third:
            assert first is not second
            assert third in (first, second)

    using(settings, work)


def test_a_server_that_takes_no_calls_rests_while_another_answers(settings: Settings) -> None:
    async def work(both: Replicas) -> None:
        dead = picked(both)
        assert not both.rest(dead)
        assert all(picked(both) is not dead for _ in range(3))

    using(settings, work)


def test_when_all_rest_they_are_asked_in_turn(settings: Settings) -> None:
    async def work(both: Replicas) -> None:
        seen = []
        for _ in range(4):
            replica = picked(both)
            seen.append(replica.url)
            both.rest(replica)
        assert both.rest(replica)
        assert seen[2:] == seen[:2]
        assert len(set(seen)) == 2

    using(settings, work)


@pytest.mark.parametrize(
    ("health", "back"), [(Reply(200, "{}"), True), (ABSENT, True), (LOADING, False), (Reply(500, "{}"), False)]
)
def test_a_rested_server_comes_back_when_its_health_is_good(settings: Settings, health: Reply, back: bool) -> None:
    async def work(both: Replicas) -> None:
        rested = picked(both)
        both.rest(rested)
        assert picked(both) is not rested  # no call is risked
        assert rested.visit is not None
        await rested.visit
        with both.pick() as first, both.pick() as second:
            assert (rested in (first, second)) == back

    with faulty(lambda *_: GOOD, other=lambda *_: health) as seen:
        using(settings, work, f"{seen.url}/v1,http://127.0.0.1:1")
    assert set(seen.others) == {"/health"}


def test_a_server_that_still_refuses_connections_stays_out(settings: Settings) -> None:
    async def work(both: Replicas) -> None:
        dead = picked(both)
        both.rest(dead)
        picked(both)
        assert dead.visit is not None
        await dead.visit
        with both.pick() as first, both.pick() as second:
            assert dead not in (first, second)

    using(settings, work, f"http://127.0.0.1:{free_port()},http://127.0.0.1:{free_port()}")


def test_a_loading_server_is_left_out_until_it_is_ready(settings: Settings) -> None:
    ready = False

    def loading(*_: Any) -> Reply:
        return Reply(200, "{}") if ready else LOADING

    with ExitStack() as stack:
        good = stack.enter_context(faulty(lambda *_: GOOD))
        slow = stack.enter_context(faulty(lambda *_: GOOD if ready else LOADING, other=loading))
        changed = settings.model_copy(update={"llm_url": f"{slow.url},{good.url}", "llm_in_flight": 4})

        async def run() -> None:
            nonlocal ready
            async with LlmClient(changed) as client:
                for part in range(3):
                    asked = (client.complete(f"{part} {number}", 8) for number in range(8))
                    assert all(answer.text for answer in await asyncio.gather(*asked))
                assert client._pace.bound == 4  # those that go on are not slowed down
                assert not slow.prompts
                ready = True
                while not slow.prompts:
                    await asyncio.gather(*(client.complete(f"later {number}", 8) for number in range(8)))

        asyncio.run(asyncio.wait_for(run(), 20))
    assert sum(good.prompts.values()) >= 24


def test_a_server_that_comes_back_as_another_model_is_noticed(settings: Settings) -> None:
    model = "org/a"

    def info(path: str, _: Any) -> Reply:
        return Reply(200, json.dumps({"model_id": model, "max_total_tokens": 9})) if path == "/info" else ABSENT

    async def work(one: Replicas) -> tuple[str, str]:
        nonlocal model
        replica = picked(one)
        before = (await one.served(replica)).model
        model = "org/b"
        assert (await one.served(replica)).model == before  # asked once
        one.rest(replica, gone=True)
        return before, (await one.served(replica)).model

    with faulty(lambda *_: GOOD, other=info) as seen:
        assert using(settings, work, seen.url) == ("org/a", "org/b")


def test_calls_that_waited_to_hear_who_a_dead_server_is_do_not_knock_themselves(settings: Settings) -> None:
    async def work(one: Replicas) -> list[Any]:
        replica = picked(one)
        async with replica.recognising:  # one call is asking, others wait
            waiting = [asyncio.create_task(one.served(replica)) for _ in range(5)]
            await asyncio.sleep(0)
            one.rest(replica, gone=True)
        return await asyncio.gather(*waiting, return_exceptions=True)

    with faulty(lambda *_: GOOD) as seen:
        assert {type(error) for error in using(settings, work, seen.url)} == {httpx2.ConnectError}
    assert not seen.others


def test_an_address_that_is_none_names_the_setting(settings: Settings) -> None:
    with pytest.raises(InputError, match="LIBER_LLM_URL"):
        Replicas(settings.model_copy(update={"llm_url": "http://127.0.0.1:1,127.0.0.1:2"}))
