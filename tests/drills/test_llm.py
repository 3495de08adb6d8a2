"""Promise: an LLM server that dies is waited for, a learner that is stopped in any way loses nothing.

The rest of what an LLM server may do is in tests/interest/test_learn_faults.py.
"""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.interest.learn import learn
from tests.conftest import free_port
from tests.interest.data import add_user, expected, rows, texts
from tests.interest.faults import GOOD, Reply, faulty
from tests.interest.test_learn_faults import STATES, start
from tests.services import answers

SECONDS = 900
IN_FLIGHT = 2


def serve(port: int, log: Path) -> "subprocess.Popen[bytes]":
    """The embedded LLM server, once it answers."""
    command = [sys.executable, "-m", "liber_tasks.local.llm_server", "--port", str(port), "--threads", "1"]
    with log.open("ab") as sink:
        child = subprocess.Popen(command, stdout=sink, stderr=sink)
    deadline = time.monotonic() + SECONDS
    while not answers(f"http://127.0.0.1:{port}/health"):
        assert child.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return child


@pytest.mark.timeout(3600)
def test_a_real_server_that_is_killed_between_answers_is_waited_for_and_nothing_is_asked_twice(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    users, port = {add_user(engine, f"u{n}", 3): 3 for n in range(2)}, free_port()
    own = settings.model_copy(
        update={"llm_url": f"http://127.0.0.1:{port}", "llm_guided": False, "llm_in_flight": IN_FLIGHT,
                "llm_patience": float(SECONDS)}
    )  # fmt: skip
    reports = []
    server = serve(port, tmp_path / "log")
    try:
        learner = threading.Thread(target=lambda: reports.append(learn(engine, own)))
        learner.start()
        while len(texts(engine)) < 2:
            assert learner.is_alive()
            time.sleep(0.02)
        server.kill()
        server.wait()
        server = serve(port, tmp_path / "log")
        learner.join(SECONDS)
    finally:
        server.kill()
        server.wait()
    assert [(each.failed, each.quarantined) for each in reports] == [(0, 0)]
    assert texts(engine) == expected(users)
    assert rows(engine, STATES) == [("done", 10)]
    ((most,),) = rows(engine, "SELECT sum(attempts) FROM liber.llm_call")
    assert most - 10 <= IN_FLIGHT


def test_a_second_ctrl_c_does_not_stop_the_first_from_giving_calls_back_or_the_next_run_takes_them(
    engine: Engine, settings: Settings, database_url: str
) -> None:
    users = {add_user(engine, "a", 6): 6}
    go_on = threading.Event()
    with faulty(lambda number, _: GOOD if number < 4 else Reply(held=go_on)) as seen:
        child = start(database_url, seen.url)
        while seen.in_flight < 4 or len(texts(engine)) < 4:
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        child.send_signal(signal.SIGINT)
        child.wait(300)
        go_on.set()
        learn(engine, settings.model_copy(update={"llm_url": seen.url}))
    assert texts(engine) == expected(users)
    assert rows(engine, STATES) == [("done", 11)]
