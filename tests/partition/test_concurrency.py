"""Promises under concurrency: any interleaving of ingesters and sealers gives one worker's result."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.partition.cuts import request_cuts
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from liber_tasks.types import Shard
from tests.behavior import state
from tests.concurrency import workload
from tests.concurrency.workload import random_plan
from tests.partition.oracle import Event
from tests.partition.streams import as_rule, moment, partitions, write

END = datetime(2100, 1, 1, tzinfo=UTC)
USERS = [f"u{n}" for n in range(12)]
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


@pytest.mark.parametrize("seed", range(8))
def test_ingesters_and_sealers_at_once_give_the_oracles_result_for_any_rule(
    engine: Engine, settings: Settings, tmp_path: Path, seed: int
) -> None:
    """The watermark of each seal lies before every event still to come; else the result would depend on timing."""
    plan = random_plan(seed)
    paths = plan.write(tmp_path)
    numbers = range(len(paths))
    finished: set[int] = set()
    reports = []

    def load(order: Sequence[int]) -> None:
        for number in order:
            reports.append(ingest(engine, settings, [paths[number]]))
            request_cuts(engine, plan.files[number].requests(), "test")
            finished.add(number)

    def keep_sealing(shard: Shard) -> None:
        watermark = 0
        while watermark < workload.END and not failed:
            watermark = plan.watermark({*finished})
            seal(engine, as_rule(plan.rule), moment(watermark), shard=shard)

    failed: list[BaseException] = []

    def guarded(job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as error:
            failed.append(error)
            raise

    # three go through each other's files, so that every file is tried three times
    forth = [*numbers[::2], *numbers[1::2]]
    jobs = [lambda order=order: load(order) for order in (forth, forth[::-1], numbers)]
    jobs += [lambda shard=shard: keep_sealing(shard) for shard in (Shard(0, 2), Shard(1, 2), Shard())]
    at_once(*[lambda job=job: guarded(job) for job in jobs])

    duplicates = workload.check(engine, plan, numbers, numbers, done=True)
    assert sum(report.already_ingested for report in reports) == 2 * len(paths)
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
