"""Promise: a service of the stack that stops in the middle of a journey changes nothing of what it brings.

A journey without disturbance is the measure. The others run on the emptied database of the same stack.
"""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from liber_tasks.local import stack as local_stack
from tests.drills.content import vectors
from tests.drills.journey import (
    CALLS,
    INGEST,
    LEARN,
    PARTITIONS,
    SECONDS,
    USERS,
    Done,
    Holding,
    Journey,
    files,
    same,
    until,
)
from tests.e2e.learning import IN_FLIGHT, World, world

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("drills")) as made:
        made.api.pause("learn_items")  # new items would start it
        yield made


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    return files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def undisturbed(there: World, conf: dict[str, object]) -> "tuple[Done, np.ndarray]":
    with there.llm.watched(same):
        done = Journey(there, conf).finish()
    assert len(done.content["partitions"]) == USERS * PARTITIONS
    assert len(done.content["texts"]) == CALLS
    assert len(done.content["vectors"]) == USERS * PARTITIONS
    assert {state for *_, state in done.content["calls"]} == {"done"}
    assert sum(done.asked.values()) == CALLS
    return done, vectors(there.engine)


def agrees(there: World, done: Done, undisturbed: "tuple[Done, np.ndarray]") -> None:
    """The same data; a rounding error of the encoder, whose batches may be others, is no difference."""
    assert done.content == undisturbed[0].content
    np.testing.assert_allclose(vectors(there.engine), undisturbed[1], atol=1e-4)
    until(lambda: local_stack.is_up(there.stack))


def postmaster(there: World) -> psutil.Process:
    return psutil.Process(int((there.stack.var / "postgres" / "postmaster.pid").read_text().split()[0]))


def of_stack(there: World, *words: str) -> psutil.Process:
    """The eldest process of the stack with these words in its command."""
    found = [each for each in local_stack.members(there.stack)
             if all(word in each.cmdline() for word in words)]  # fmt: skip
    return min(found, key=lambda each: each.create_time())


def stopped(there: World, number: signal.Signals) -> None:
    """Stop the database, which Airflow's own is in too, and wait until another is there."""
    old = postmaster(there)
    old.send_signal(number)
    psutil.wait_procs([old], timeout=60)
    until(lambda: postmaster(there).pid != old.pid)


def test_the_database_stops_while_partitions_are_sealed_texts_asked_for_and_vectors_stored(
    there: World, conf: dict[str, object], undisturbed: "tuple[Done, np.ndarray]"
) -> None:
    """A fast shutdown, a SIGKILL with calls in flight, a fast shutdown."""
    first, go_on = sum(there.llm.seen.prompts.values()), threading.Event()
    with there.llm.watched(Holding(first, CALLS // 3, go_on)):
        journey = Journey(there, conf)
        journey.at(INGEST, "seal")
        stopped(there, signal.SIGINT)
        until(lambda: there.llm.seen.in_flight == IN_FLIGHT)
        stopped(there, signal.SIGKILL)
        go_on.set()
        journey.at(LEARN, "encode")
        stopped(there, signal.SIGINT)
        done = journey.finish()
    agrees(there, done, undisturbed)
    assert set(done.asked) == set(undisturbed[0].asked)
    assert sum(done.asked.values()) - CALLS <= IN_FLIGHT  # those whose answers found no database


def test_the_scheduler_is_killed_with_calls_in_flight_and_no_work_is_done_twice(
    there: World, conf: dict[str, object], undisturbed: "tuple[Done, np.ndarray]"
) -> None:
    first, go_on = sum(there.llm.seen.prompts.values()), threading.Event()
    with there.llm.watched(Holding(first, CALLS // 3, go_on)):
        journey = Journey(there, conf)
        until(lambda: there.llm.seen.in_flight == IN_FLIGHT)
        old = of_stack(there, "scheduler")
        old.kill()
        until(lambda: of_stack(there, "scheduler").pid != old.pid)
        go_on.set()
        done = journey.finish()
    agrees(there, done, undisturbed)
    assert set(done.asked.values()) == {1}


def test_two_schedulers_start_no_task_twice(
    there: World, conf: dict[str, object], undisturbed: "tuple[Done, np.ndarray]", tmp_path: Path
) -> None:
    command = [str(Path(sys.executable).with_name("airflow")), "scheduler", "--skip-serve-logs"]
    with (tmp_path / "log").open("wb") as log:
        second = subprocess.Popen(command, env=there.stack.environment(), stdout=log, stderr=log)
    try:
        until(lambda: "Starting the scheduler" in (tmp_path / "log").read_text() and second.poll() is None)
        with there.llm.watched(same):
            done = Journey(there, conf).finish()
        assert second.poll() is None
    finally:
        second.terminate()
        second.wait(SECONDS)
    agrees(there, done, undisturbed)
    assert set(done.asked.values()) == {1}
    assert {number for numbers in done.tries.values() for number in numbers} == {1}
