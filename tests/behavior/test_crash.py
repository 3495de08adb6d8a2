"""Promises under crashes: a worker killed at any point leaves nothing half-done, and a re-run finishes."""

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from liber_tasks import db
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import ROOT, Settings
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests.behavior import state
from tests.behavior.files import behavior, write_jsonl

END = datetime(2100, 1, 1, tzinfo=UTC)
ROWS = 20_000

WORKER = """
import sys
from datetime import datetime, UTC
from liber_tasks import db
from liber_tasks.behavior.files import jsonl
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.partition import stream
from liber_tasks.partition.rules import PartitionRule

def told(done, total, label):
    print(label, done, flush=True)
    if label == sys.argv[2]:
        sys.stdin.read()  # hold still until killed

jsonl.BLOCK_BYTES = 500_000
stream.USERS_A_TRANSACTION = 2
engine = db.engine(sys.argv[1])
ingest(engine, Settings(_env_file=None), sys.argv[3:], progress=told)
stream.seal(engine, PartitionRule(7), datetime(2100, 1, 1, tzinfo=UTC), progress=told)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files of the same users, each with a few bad rows."""
    folder = tmp_path_factory.mktemp("crash")
    made = []
    for number in range(2):
        rows = [
            behavior(n, event_id=f"{number}-{n}", user_id=f"u{n % 9}", kind="sneeze" if n % 5000 == 1 else "play")
            for n in range(ROWS if number else 500)
        ]
        made.append(write_jsonl(folder / f"{number}.jsonl", rows))
    return made


@pytest.fixture(scope="module")
def undisturbed(cluster, files: list[Path]) -> dict[str, list]:
    """The state that one uninterrupted run reaches."""
    cluster.ensure({}, {"undisturbed": "postgres"})
    db.init_db(cluster.url("undisturbed"))
    engine = db.engine(cluster.url("undisturbed"))
    return finished(engine, Settings(_env_file=None), files)  # type: ignore[call-arg]


def killed(url: str, files: list[Path], hold: str, when: Callable[[subprocess.Popen[str]], None]) -> None:
    """Run the worker, wait until `when` returns, kill it with SIGKILL."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, url, hold, *map(str, files)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        when(worker)
    finally:
        worker.kill()
        worker.communicate()
    assert worker.returncode == -9


def says(label: str) -> Callable[[subprocess.Popen[str]], None]:
    """Wait for a line of the worker that starts with `label`."""

    def wait(worker: subprocess.Popen[str]) -> None:
        assert worker.stdout is not None
        assert any(line.startswith(label) for line in worker.stdout), "the worker ended early"

    return wait


def finished(engine: Engine, settings: Settings, files: list[Path]) -> dict[str, list]:
    ingest(engine, settings, files)
    seal(engine, PartitionRule(7), END)
    return state.everything(engine)


def test_killed_while_sending_rows(database_url, engine, settings, files, undisturbed) -> None:
    killed(database_url, files, "ingest 1.jsonl", says("ingest 1.jsonl"))
    left = state.everything(engine)
    assert (len(left["files"]), len(left["stream"])) == (1, 499)
    assert finished(engine, settings, files) == undisturbed


def test_killed_while_the_server_appends(database_url, engine, settings, files, undisturbed) -> None:
    running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%COPY liber.behavior (%'"
    running += " AND pid <> pg_backend_pid() AND datname = current_database()"

    def appends(worker: subprocess.Popen[str]) -> None:
        says("ingest 1.jsonl")(worker)
        give_up = time.monotonic() + 30
        while not state.rows(engine, running)[0][0]:
            assert time.monotonic() < give_up
            assert worker.poll() is None

    killed(database_url, files, "", appends)
    # the server may still be busy for the dead worker: the re-run waits for it
    assert finished(engine, settings, files) == undisturbed


def test_killed_between_batches_of_sealing(database_url, engine, settings, files, undisturbed) -> None:
    killed(database_url, files, "seal users", says("seal users"))
    left = state.everything(engine)
    assert len({row[0] for row in left["partitions"]}) == 2
    assert finished(engine, settings, files) == undisturbed


@pytest.mark.parametrize("delay", [0.0, 0.3])
def test_killed_at_any_moment(database_url, engine, settings, files, undisturbed, delay: float) -> None:
    def later(worker: subprocess.Popen[str]) -> None:
        says("ingest 0.jsonl")(worker)
        time.sleep(delay)

    killed(database_url, files, "seal users", later)
    assert finished(engine, settings, files) == undisturbed
