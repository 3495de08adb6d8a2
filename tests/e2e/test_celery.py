"""CeleryExecutor for real: two workers share a run, one is killed with its children, the work is done once."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from liber_tasks.learning import with_version
from liber_tasks.local import stack as local_stack
from tests.e2e.celery_workers import SECONDS, Workers, broker
from tests.e2e.learning import IN_FLIGHT, IN_FLIGHT_OF_A_TASK, World, world
from tests.interest.data import expected, rows
from tests.interest.faults import GOOD, Reply

pytestmark = pytest.mark.timeout(1800)
WORKERS = ("one", "two")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("celery")


@pytest.fixture(scope="module")
def distributed(folder: Path) -> Iterator[tuple[World, Workers]]:
    """A stack whose tasks run on two workers."""
    with pytest.MonkeyPatch.context() as patch, broker(folder, patch) as server:
        patch.setattr(local_stack, "START_SECONDS", 3 * SECONDS)
        with world(folder) as there:
            workers = Workers(there.stack, server)
            try:
                workers.start(*WORKERS)
                yield there, workers
            finally:
                workers.stop()


def test_when_a_worker_is_killed_others_take_over_and_the_work_is_done_once(
    distributed: tuple[World, Workers],
) -> None:
    """It dies with all its calls in flight. A new worker, idle, is handed the messages of both tasks again (what runs
    longer than the broker waits for its confirmation comes a second time) and starts neither."""
    there, workers = distributed
    users, go_on = dict.fromkeys(there.add_users(4, 3), 3), threading.Event()
    with there.llm.watched(lambda number, _: GOOD if number < 6 else Reply(held=go_on)) as asked:
        run_id = there.api.trigger("learn_interests", {})
        until(lambda: there.llm.seen.in_flight == IN_FLIGHT)
        asking = there.asking()
        assert {workers.of(process) for process in asking} == set(WORKERS)  # a shard each
        victim = workers.of(asking[0])
        workers.kill(victim)
        workers.start("three")
        until(lambda: workers.said("three").count("ignoring redelivered message") >= 1)
        go_on.set()
        run = there.api.finished("learn_interests", run_id)
    assert run.state == "success", there.api.failure(run)
    assert workers.answering() == {*WORKERS, "three"} - {victim}
    assert sorted(task["try_number"] for task in there.api.instances(run, "learn")) == [1, 2]
    calls = len(expected(users))
    assert len(asked) == there.ledger(run)["done"] == calls
    assert 1 <= sum(asked.values()) - calls <= IN_FLIGHT_OF_A_TASK  # what was in flight when the worker died
    version = str(with_version(there.settings).knowledge_version)
    assert [tuple(row)[:3] for row in there.texts(version)] == expected(users)  # as with no worker killed
    assert rows(there.engine, "SELECT FROM liber.llm_call WHERE state = 'running'") == []
    assert there.vectors(version) == [(key, number) for key in sorted(users) for number in (1, 2, 3)]


def until(holds: Callable[[], bool]) -> None:
    """Wait for another process."""
    give_up = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.05)
