"""Promises of erasure beside other work: whoever comes first, nothing of the user is left. And each lock is needed."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, TextClause, text

from liber_tasks import db
from liber_tasks.behavior.erase import erase, readmit
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.experiment.metrics import materialise
from liber_tasks.interest.learn import learn
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests.behavior import state
from tests.behavior.erasing import END, places, tables_of_users
from tests.behavior.files import behavior, write_jsonl
from tests.interest.faults import GOOD, faulty

USER = "ann-17"
EXPERIMENT = """
INSERT INTO liber.experiment (name, hypothesis, salt, control_share, treatment_share, starts_at, ends_at)
VALUES ('e', '', '', 0.5, 0.5, '2024-05-01Z', '2024-05-08Z')"""


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.fixture
def ingested(engine: Engine, settings: Settings, tmp_path: Path) -> Path:
    """Six behaviours of the user and two of another one; the folder for more files."""
    rows = [*(behavior(n, user_id=USER) for n in range(6)), *(behavior(n, user_id="ben") for n in range(2))]
    ingest(engine, settings, [write_jsonl(tmp_path / "first.jsonl", rows)])
    return tmp_path


class Held:
    """A statement before which some module waits until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
        self._reached, self._go = threading.Event(), threading.Event()

        def query(asked: str) -> TextClause:
            if asked == name:
                self._reached.set()
                assert self._go.wait(30)
            return db.query(asked)

        monkeypatch.setattr(f"liber_tasks.{module}.query", query)

    def reached(self) -> None:
        assert self._reached.wait(30)

    def let_go(self) -> None:
        self._go.set()


def without(monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
    """The module as it would be without one statement."""
    nothing = text("SELECT 1")
    monkeypatch.setattr(f"liber_tasks.{module}.query", lambda asked: nothing if asked == name else db.query(asked))


def waits(engine: Engine, work: "Future[Any]") -> bool:
    """Once that is settled: True when the work waits for a lock, False when it has ended."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with engine.connect() as connection:
        while not work.done():
            if connection.execute(text(waiting)).scalar_one():
                return True
            connection.rollback()  # the view is the same for a whole transaction
    return False


def left(engine: Engine) -> list[str]:
    """Where something of the user is left: the id itself, or rows of a key that nobody has."""
    orphans = [
        f"liber.{table}.user_key"
        for table, column in tables_of_users(engine)
        if column == "user_key" and state.rows(
            engine, f"SELECT 1 FROM liber.{table} WHERE user_key NOT IN (SELECT user_key FROM liber.user_profile)")  # noqa: S608
    ]  # fmt: skip
    return places(engine, USER) + orphans


# Ingest


@pytest.mark.parametrize("known", [True, False])
def test_an_append_under_way_is_waited_for_and_what_it_wrote_is_erased(
    engine: Engine, settings: Settings, ingested: Path, monkeypatch, pool, known: bool
) -> None:
    if not known:
        erase(engine, USER)
        readmit(engine, USER)
    held = Held(monkeypatch, "behavior.store.append", "behavior/advance_streams")
    rows = [behavior(7, user_id=USER), behavior(7, user_id="ben")]
    loading = pool.submit(ingest, engine, settings, [write_jsonl(ingested / "second.jsonl", rows)])
    held.reached()
    erasing = pool.submit(erase, engine, USER)
    assert waits(engine, erasing)
    held.let_go()
    assert loading.result(30).accepted == 2
    assert erasing.result(30).removed["behavior"] == (7 if known else 1)
    assert left(engine) == []
    assert [row[0] for row in state.stream(engine)] == ["ben"] * 3


def test_without_the_lock_of_ingest_a_new_user_would_survive(
    engine: Engine, settings: Settings, ingested: Path, monkeypatch, pool
) -> None:
    erase(engine, USER)
    readmit(engine, USER)
    without(monkeypatch, "behavior.refuse", "erase/hold_off")
    held = Held(monkeypatch, "behavior.store.append", "behavior/advance_streams")
    loading = pool.submit(
        ingest, engine, settings, [write_jsonl(ingested / "second.jsonl", [behavior(7, user_id=USER)])]
    )
    held.reached()
    erasing = pool.submit(erase, engine, USER)
    assert not waits(engine, erasing)
    held.let_go()
    loading.result(30)
    assert "liber.user_profile.user_id" in left(engine)


@pytest.mark.parametrize("known", [True, False])
def test_a_file_that_is_still_being_read_when_the_erasure_comes_is_refused(
    engine: Engine, settings: Settings, ingested: Path, known: bool
) -> None:
    if not known:
        erase(engine, USER)
        readmit(engine, USER)
    rows = [behavior(7, user_id=USER), behavior(8, user_id=USER, kind="sneeze"), behavior(7, user_id="ben")]
    path = write_jsonl(ingested / "second.jsonl", rows)
    report = ingest(engine, settings, [path], progress=lambda *_: erase(engine, USER))
    assert (report.accepted, report.duplicates, report.rejected, report.refused) == (1, 0, 1, 1)
    assert left(engine) == []


def test_the_row_of_a_stream_that_a_consumer_holds_is_not_waited_for(engine: Engine, ingested: Path, pool) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.ingest_file SET source = :name"), {"name": f"topic {USER}, partition 0"})
    with engine.begin() as consumer:  # a consumer has this lock before that of ingest: an erasure must not want both
        consumer.execute(text("SELECT 1 FROM liber.ingest_file FOR UPDATE"))
        erasing = pool.submit(erase, engine, USER)
        assert not waits(engine, erasing)
    assert erasing.result(30).found


# Seal


def test_a_sealer_under_way_is_waited_for(engine: Engine, ingested: Path, monkeypatch, pool) -> None:
    held = Held(monkeypatch, "partition.stream", "partition/seal_count")
    sealing = pool.submit(seal, engine, PartitionRule(2), END)
    held.reached()
    erasing = pool.submit(erase, engine, USER)
    assert waits(engine, erasing)
    held.let_go()
    assert sealing.result(30).partitions == 4
    assert erasing.result(30).removed["behavior_partition"] == 3
    assert left(engine) == []


def test_without_the_lock_on_the_stream_partitions_would_survive(
    engine: Engine, ingested: Path, monkeypatch, pool
) -> None:
    without(monkeypatch, "behavior.erase", "erase/lock_stream")
    held = Held(monkeypatch, "partition.stream", "partition/seal_count")
    sealing = pool.submit(seal, engine, PartitionRule(2), END)
    held.reached()
    erasing = pool.submit(erase, engine, USER)
    assert waits(engine, erasing)  # at the stream's row, but the partitions were deleted before
    held.let_go()
    sealing.result(30)
    erasing.result(30)
    assert left(engine) == ["liber.behavior_partition.user_key"]


# What is derived from a partition: calls, texts, vectors

LOCK = "FOR KEY SHARE OF p"


def derive(connection: Connection, name: str, user_key: int, lock: bool) -> None:
    """Execute one of the statements that store what was derived from P_1."""
    place = {"user_keys": [user_key], "partition_nos": [1], "kinds": ["summary"], "knowledge_version": "k",
             "call_keys": ["c"]}  # fmt: skip
    parameters = {
        "interest/claim": {**place, "run_id": "r", "prompt_characters": [9]},
        "interest/store": {**place, "texts": ["t"], "inputs_sha256": [""], "left_out": [0], "prompt_tokens": [1],
                           "completion_tokens": [1], "latency_seconds": [1.0], "finish_reasons": [None],
                           "servers": ["s"], "spent_prompt_tokens": [1], "spent_completion_tokens": [1]},
        "encoder/upsert": {"encoder_version": "v", "knowledge_version": "k"},
    }[name]  # fmt: skip
    statement = db.query(name).text
    assert LOCK in statement
    if name == "encoder/upsert":
        connection.execute(db.query("encoder/stage"))
        connection.execute(text("INSERT INTO interest_vector_stage VALUES (:u, 1, '[1]')"), {"u": user_key})
    connection.execute(text(statement if lock else statement.replace(LOCK, "")), parameters)


@pytest.fixture
def sealed(engine: Engine, ingested: Path) -> int:
    """Key of the user, whose partitions are sealed; versions of texts and vectors exist."""
    seal(engine, PartitionRule(2), END)
    with engine.begin() as connection:
        connection.connection.cursor().execute("""
            INSERT INTO liber.knowledge_version VALUES ('k', 'm', 's', 'c', '{}');
            INSERT INTO liber.encoder VALUES ('v', 'm', 'mean', 'fp32', 1, '', '', 2, NULL, 1)""")
    return int(state.rows(engine, "SELECT user_key FROM liber.user_profile WHERE user_id = :u", u=USER)[0][0])


DERIVED = pytest.mark.parametrize("name", ["interest/claim", "interest/store", "encoder/upsert"])


@DERIVED
@pytest.mark.parametrize("lock", [True, False])
def test_what_is_being_stored_is_waited_for_and_erased_and_would_survive_without_the_lock(
    engine: Engine, sealed: int, pool, name: str, lock: bool
) -> None:
    with engine.begin() as writer:
        derive(writer, name, sealed, lock)
        erasing = pool.submit(erase, engine, USER)
        assert waits(engine, erasing) is lock
    erasing.result(30)
    assert (left(engine) == []) is lock


@DERIVED
@pytest.mark.parametrize("lock", [True, False])
def test_what_comes_during_an_erasure_is_dropped_and_would_survive_without_the_lock(
    engine: Engine, sealed: int, pool, name: str, lock: bool
) -> None:
    reached, go = threading.Event(), threading.Event()

    def told(done: int, total: int | None, label: str) -> None:
        if done == 2:  # the rows are deleted
            reached.set()
            assert go.wait(30)

    def store() -> None:
        with engine.begin() as writer:
            derive(writer, name, sealed, lock)

    erasing = pool.submit(erase, engine, USER, progress=told)
    assert reached.wait(30)
    storing = pool.submit(store)
    assert waits(engine, storing) is lock
    go.set()
    erasing.result(30)
    storing.result(30)
    assert (left(engine) == []) is lock


def test_an_answer_that_arrives_after_the_erasure_leaves_nothing(
    engine: Engine, settings: Settings, sealed: int
) -> None:
    def plan(number: int, prompt: str) -> Any:
        erase(engine, USER)  # while the question is with the server
        return GOOD

    with faulty(plan) as llm:
        report = learn(engine, settings.model_copy(update={"llm_url": llm.url, "llm_in_flight": 1}), users=[USER])
    assert report.calls == 1
    assert (report.pending_summaries, report.pending_shifts) == (0, 0)
    assert state.rows(engine, "SELECT count(*) FROM liber.llm_call") == [(0,)]
    assert left(engine) == []


# Experiments


@pytest.mark.parametrize("lock", [True, False])
def test_metrics_being_materialised_are_waited_for_and_would_survive_without_the_lock(
    engine: Engine, ingested: Path, monkeypatch, pool, lock: bool
) -> None:
    with engine.begin() as connection:
        connection.execute(text(EXPERIMENT))
        connection.execute(text("INSERT INTO liber.exposure VALUES (1, :u, 'control', '2024-05-01Z')"), {"u": USER})
    if not lock:
        without(monkeypatch, "behavior.erase", "erase/lock_experiments")
    held = Held(monkeypatch, "experiment.metrics", "experiment/analyze_metric")  # the rows are written
    writing = pool.submit(materialise, engine, "e", END)
    held.reached()
    erasing = pool.submit(erase, engine, USER)
    assert waits(engine, erasing) is lock
    held.let_go()
    assert writing.result(30) == 1
    erasing.result(30)
    assert (left(engine) == []) is lock


@pytest.mark.parametrize("lock", [True, False])
def test_exposures_being_written_are_waited_for_and_would_survive_without_the_trigger(
    engine: Engine, pool, lock: bool
) -> None:
    with engine.begin() as connection:
        connection.execute(text(EXPERIMENT))
        if not lock:
            connection.execute(text("ALTER TABLE liber.exposure DISABLE TRIGGER refuse_erased_users"))
    with engine.begin() as serving:
        serving.execute(text("INSERT INTO liber.exposure VALUES (1, :u, 'control', '2024-05-01Z')"), {"u": USER})
        erasing = pool.submit(erase, engine, USER)
        assert waits(engine, erasing) is lock
    erasing.result(30)
    assert (left(engine) == []) is lock


# All at once


@pytest.mark.parametrize("seed", range(3))
def test_ingesters_sealers_and_erasers_at_once_neither_deadlock_nor_leave_anything(
    engine: Engine, settings: Settings, tmp_path: Path, pool, seed: int
) -> None:
    dice = random.Random(seed)
    users = [f"{USER}/{n}" for n in range(8)]
    paths = [
        write_jsonl(tmp_path / f"{n:02}.jsonl", [
            behavior(m, event_id=f"{n}-{m}", user_id=dice.choice(users), kind=dice.choice(["play"] * 40 + ["sneeze"]))
            for m in range(60)
        ])
        for n in range(12)
    ]  # fmt: skip
    orders = [dice.sample(users, len(users)) for _ in range(2)]
    start = threading.Barrier(4)

    def run(jobs: list[Callable[[], object]]) -> None:
        start.wait(30)
        for job in jobs:
            job()

    def at_once(users: list[str]) -> list[Callable[[], object]]:
        return [lambda user=user, do=do: do(engine, user) for user in users for do in (erase, readmit)]

    loads = [[lambda path=path: ingest(engine, settings, [path]) for path in paths[n::2]] for n in range(2)]
    seals = [lambda: seal(engine, PartitionRule(4), END)] * 8
    for done in [pool.submit(run, jobs) for jobs in (*loads, seals + at_once(orders[0]), at_once(orders[1]))]:
        done.result(60)
    counts = state.rows(engine, "SELECT min(seq), max(seq) - count(*) FROM liber.behavior GROUP BY user_key")
    assert set(counts) <= {(1, 0)}, "streams are dense from 1"
    for user in users:
        erase(engine, user)
    assert left(engine) == []
    assert state.stream(engine) == []
    assert not any(state.everything(engine)[part] for part in ("cursors", "partitions"))
