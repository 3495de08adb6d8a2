"""Promise: whenever the server stops without notice or a worker is killed, nothing is half-done, and a re-run finishes.

A chain is one database: several workers load files and seal by a random rule; a crash; the server recovers; what is
there is checked against the oracle; the workers begin again. After the last crash the work is finished and must be
all that the oracle says. LIBER_CRASH_ROUNDS=150 makes at least so many crashes and says which; LIBER_CRASH_SEED=1000
begins with chain 1001. What a chain does is drawn by its number, when exactly it is struck is up to the machine.

PostgreSQL is crashed, not the machine: its files are those that it wrote, whether or not they reached the disk.
"""

import os
import random
import secrets
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from liber_tasks import db
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.local import postgres
from liber_tasks.partition.cuts import request_cuts
from liber_tasks.partition.stream import seal
from tests.concurrency import workload
from tests.concurrency.observed import NAMES
from tests.concurrency.workload import END, random_plan
from tests.conftest import free_port
from tests.crash.worker import Duty, Moment, Worker, finished
from tests.partition.streams import as_rule, moment

ROUNDS = int(os.environ.get("LIBER_CRASH_ROUNDS", "12"))
SEED = int(os.environ.get("LIBER_CRASH_SEED", "0"))
CRASHES_A_CHAIN = 4
UNDISTURBED = 1.5  # seconds that a chain's work takes about, from the fork of the workers on
INGESTING = [
    "behavior/copy_item_codes", "behavior/add_users", "behavior/add_streams", "behavior/lock_streams",
    "behavior/user_codes", "behavior/copy_behaviors", "behavior/advance_streams", "behavior/finish_file",
    "partition/request_cuts", "commit",
]  # fmt: skip
BY_COUNT = ["partition/due_by_count", "partition/lock_streams", "partition/seal_count", "commit"]
BY_ANY = ["partition/due_by_time", "partition/lock_streams", "partition/seal_bounds", "commit"]


class Server:
    """A PostgreSQL of our own, as durable as it is outside of tests."""

    def __init__(self, folder: Path) -> None:
        # before recovery, tell the kernel once to write everything, not file by file
        options = ("recovery_init_sync_method=syncfs",)
        self.cluster = postgres.Cluster(folder / "data", free_port(), secrets.token_urlsafe(12), options)
        self.cluster.prepare()
        self._child = self.cluster.spawn()

    def crash(self) -> None:
        """Stop at once: no checkpoint, no goodbye. The next start recovers from the log."""
        self._child.send_signal(signal.SIGQUIT)
        self._child.wait(60)

    def start(self) -> None:
        self._child = self.cluster.spawn()

    @property
    def up(self) -> bool:
        return self._child.poll() is None

    def stop(self) -> None:
        postgres.stop(self._child)

    def create(self, name: str) -> str:
        """URL of a new database with the LIBER schema."""
        with closing(psycopg2.connect(self.cluster.url("postgres"))) as connection:
            connection.autocommit = True
            connection.cursor().execute(f"CREATE DATABASE {name} TEMPLATE liber_template")
        return self.cluster.url(name)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("crash")
    server = Server(folder)
    try:
        server.cluster.ensure({"liber_reader": server.cluster.password}, {"liber_template": "postgres"})
        db.init_db(server.cluster.url("liber_template"))
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def random_moment(dice: random.Random, plan: workload.Plan, sealing: bool) -> Moment:
    names = (BY_COUNT if as_rule(plan.rule).by_count_alone else BY_ANY) if sealing else INGESTING
    return Moment(dice.choice(names), after=dice.random() < 0.5, nth=dice.randint(1, 3))


def struck(server: Server, dice: random.Random, workers: list[Worker], holding: Worker | None) -> str | None:
    """Crash something at a random time or at the moment of a worker; what was crashed. None: there was no time."""
    if holding is None:
        time.sleep(dice.uniform(0, UNDISTURBED))  # the moment itself is random
        when = "any time"
    elif holding.reaches(30):
        when = "between statements"
        if dice.random() < 0.5:
            holding.let_go()  # into the statement
            time.sleep(dice.choice([0, dice.uniform(0, 0.02)]))
            when = "during a statement"
    else:
        return None
    if dice.random() < 0.6:
        server.crash()
        if holding:
            holding.let_go()
        return f"server, {when}"
    for worker in workers if dice.random() < 0.5 else [holding or dice.choice(workers)]:
        worker.kill()
    return f"workers, {when}"


def crashed(server: Server, dice: random.Random, duty: Duty, plan: workload.Plan) -> str | None:
    """Start workers, crash, and start the server again. Who was not killed has ended well or said why not."""
    numbers = [*range(len(plan.files))]
    duties = [{"files": numbers}, {"shard": "0/2"}, {"shard": "1/2"}]
    if dice.random() < 0.5:
        duties.append({"files": numbers[::-1]})
    who = dice.choice([None, *range(len(duties))])
    at = None if who is None else random_moment(dice, plan, "shard" in duties[who])
    workers = [
        Worker(Duty(duty.url, duty.seed, duty.folder, **own, moment=at if n == who else None), duty.folder / f"{n}.log")
        for n, own in enumerate(duties)
    ]
    try:
        what = struck(server, dice, workers, None if who is None else workers[who])
        if not server.up:
            for worker in workers:
                said(*worker.ended())
            server.start()
    finally:
        for worker in workers:
            worker.kill()
    for worker in workers:
        said(*worker.ended())
    return what


def said(status: int, words: str) -> None:
    """A worker that could not go on has said so in one sentence, and failed."""
    assert "Traceback" not in words, words
    assert status in (0, 1, -signal.SIGKILL), (status, words)
    if status == 1:
        *_, last = words.splitlines()
        assert last.startswith("liber: PostgreSQL cannot do this: "), words
        assert last.endswith("."), words


def test_moments_are_those_of_statements_that_exist() -> None:
    assert {*INGESTING, *BY_COUNT, *BY_ANY} <= NAMES


def test_after_any_crashes_the_work_is_what_the_oracle_says(
    server: Server, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crashes: Counter[str] = Counter()
    chain = SEED
    while crashes.total() < ROUNDS:
        chain += 1
        dice, plan = random.Random(chain), random_plan(chain)
        folder = tmp_path / str(chain)
        folder.mkdir()
        paths = plan.write(folder)
        url = server.create(f"chain_{chain}")
        engine = db.engine(url)
        for _ in range(CRASHES_A_CHAIN):
            what = crashed(server, dice, Duty(url, chain, folder), plan)
            workload.check(engine, plan, workload.loaded(engine), finished(folder))
            if what is None:
                break
            crashes[what] += 1
        ingest(engine, settings, paths)
        for file in plan.files:
            request_cuts(engine, file.requests(), "test")
        seal(engine, as_rule(plan.rule), moment(END))
        workload.check(engine, plan, range(len(paths)), range(len(paths)), done=True)
    if "LIBER_CRASH_ROUNDS" in os.environ:
        with capsys.disabled():
            print(f"\ncrashes of chains {SEED + 1} to {chain}: {dict(crashes)}")
