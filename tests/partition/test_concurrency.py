"""Promises under concurrency: any interleaving of ingesters and sealers gives one worker's result."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests.behavior import state
from tests.partition.oracle import Event, Rule, replay
from tests.partition.streams import arrived, partitions, write

END = datetime(2100, 1, 1, tzinfo=UTC)
USERS = [f"u{n}" for n in range(12)]
FILES = 14
K = 4


def at_once(*jobs: Callable[[], object]) -> None:
    """Run jobs in threads that start together; the first failure is raised."""
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], object]) -> object:
        start.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        for future in [pool.submit(run, job) for job in jobs]:
            future.result(timeout=60)


def batches(seed: int) -> list[dict[str, list[Event]]]:
    """Files whose users overlap. Some events are in two files; event "<number of the file>-0" of a user is in one."""
    dice = random.Random(seed)
    files: list[dict[str, list[Event]]] = []
    for number in range(FILES):
        file = {
            user: [Event(f"{number}-{n}", dice.randrange(1000, 1100)) for n in range(dice.randrange(1, 9))]
            for user in dice.sample(USERS, dice.randrange(3, len(USERS)))
        }
        for user, events in file.items():
            earlier = [event for other in files for event in other.get(user, [])]
            earlier = [event for event in earlier if not event.event_id.endswith("-0")]
            events += dice.sample(earlier, min(len(earlier), 2))
        files.append(file)
    return files


@pytest.mark.parametrize("seed", range(5))
def test_two_ingesters_and_two_sealers_at_once_give_the_oracles_result(
    engine: Engine, settings: Settings, tmp_path: Path, seed: int
) -> None:
    files = batches(seed)
    paths = [write(tmp_path / f"{n:02}.jsonl", file) for n, file in enumerate(files)]
    loading = threading.Semaphore(0)
    reports = []

    def load(mine: list[Path]) -> None:
        try:
            for path in mine:
                reports.append(ingest(engine, settings, [path]))
        finally:
            loading.release()

    def keep_sealing() -> None:
        while loading._value < 2:
            seal(engine, PartitionRule(K), END)

    forth = paths[::2] + paths[1::2]  # the two go through each other's files, so every file is tried twice
    at_once(lambda: load(forth), lambda: load(forth[::-1]), keep_sealing, keep_sealing)
    seal(engine, PartitionRule(K), END)

    assert sum(report.already_ingested for report in reports) == len(files)
    found = {user: arrived(engine, user) for user in USERS}
    sealed = partitions(engine, *USERS)
    duplicates = 0
    for user in USERS:
        # which file came first was up to the threads; that order given, nothing else was
        order = [int(event.event_id[:-2]) for event, _ in found[user] if event.event_id.endswith("-0")]
        assert sorted(order) == [n for n in range(FILES) if user in files[n]]
        expected = replay([files[n][user] for n in order], Rule(K), int(END.timestamp()))
        assert found[user] == expected.arrived
        assert sealed[user] == expected.partitions
        duplicates += expected.duplicates
    assert sum(report.duplicates for report in reports) == duplicates


def test_one_file_given_to_four_ingesters_is_loaded_by_one(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", {user: [Event(str(n), n) for n in range(50)] for user in USERS})
    reports = []
    at_once(*[lambda: reports.append(ingest(engine, settings, [path]))] * 4)
    assert sorted(report.accepted for report in reports) == [0, 0, 0, 50 * len(USERS)]
    assert sum(report.already_ingested for report in reports) == 3
    assert len(state.stream(engine)) == 50 * len(USERS)


def test_many_sealers_at_once_seal_each_partition_once(
    engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liber_tasks.partition.stream.USERS_A_TRANSACTION", 2)
    ingest(engine, settings, [write(tmp_path / "e.jsonl", {u: [Event(f"{n}", n) for n in range(90)] for u in USERS})])
    reports = []
    at_once(*[lambda: reports.append(seal(engine, PartitionRule(K), END))] * 4)
    assert sum(report.partitions for report in reports) == 90 // K * len(USERS)
    assert all(len(found) == 90 // K for found in partitions(engine, *USERS).values())
