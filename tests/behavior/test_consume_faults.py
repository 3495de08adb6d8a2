"""Promises of the stream consumer under faults: killed, doubled, cut off, or deprived of messages."""

import multiprocessing
import random
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text

from liber_tasks import db
from liber_tasks.behavior.consume import consume
from liber_tasks.config import Settings
from liber_tasks.errors import InputError, ServiceUnavailable
from tests.behavior import state
from tests.behavior.brokers import SECRET, KafkaServer
from tests.behavior.consuming import counts, drained, encoded, numbered, stored
from tests.behavior.files import behavior

pytestmark = pytest.mark.usefixtures("impatient")

ROUNDS = 12  # times that a consumer is killed
MESSAGES = 3000


def worker(database_url: str, feed_url: str, told: Any) -> None:
    """A consumer that goes on until killed."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    consume(db.engine(database_url), settings, feed_url, batch=50, wait=0.02, progress=lambda done, *_: told.send(done))


@pytest.fixture(scope="module")
def children() -> multiprocessing.context.ForkServerContext:
    """Processes that start quickly: forked from one that has the modules and nothing else."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.behavior.test_consume_faults"])
    return context


def test_killed_at_any_moment_it_goes_on_with_nothing_twice_and_nothing_lost(
    broker, database_url, engine, settings, children
) -> None:
    feed = broker.feed()
    bad = encoded([behavior(0, kind="sneeze")])
    messages = numbered(0, MESSAGES)
    feed.send([message for start in range(0, MESSAGES, 100) for message in (*messages[start : start + 100], *bad)])
    chance = random.Random(7)
    reached = [0]
    for _ in range(ROUNDS):
        near, far = children.Pipe(duplex=False)
        child = children.Process(target=worker, args=(database_url, feed.url, far))
        child.start()
        far.close()
        for _ in range(chance.randint(1, 3)):
            near.recv()
        time.sleep(chance.random() * 0.02)  # anywhere in a batch
        child.kill()
        child.join()
        reached.append(state.rows(engine, "SELECT sum(rows_read)::int FROM liber.ingest_file")[0][0])
    assert all(later > earlier for earlier, later in pairwise(reached))
    drained(engine, settings, feed)
    assert stored(engine) == list(range(MESSAGES))
    assert counts(engine) == (MESSAGES + 30, MESSAGES, 0, 30)
    assert len(state.everything(engine)["rejected"]) == 30


def test_two_consumers_take_turns_in_one_transaction_each(broker, database_url, engine, settings) -> None:
    """Both are held inside the same batch: the second must wait for the first, then go on behind it."""
    feed = broker.feed()
    feed.send(numbered(0, 5))
    drained(engine, settings, feed)
    feed.send(numbered(5, 25))
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with engine.connect() as holder, ThreadPoolExecutor() as pool:
        holder.execute(text("SELECT FROM liber.user_stream FOR UPDATE"))
        runs = [pool.submit(drained, db.engine(database_url), settings, feed) for _ in range(2)]
        give_up = time.monotonic() + 30
        while state.rows(engine, waits)[0][0] < 2:
            assert time.monotonic() < give_up
        holder.rollback()
        reports = [run.result() for run in runs]
    assert stored(engine) == list(range(25))
    assert counts(engine) == (25, 25, 0, 0)
    assert sorted(report.rows_read for report in reports) == [0, 20]


def test_two_consumers_share_a_stream(broker, database_url, engine, settings) -> None:
    feed = broker.feed()
    feed.send(numbered(0, 1000))
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(drained, db.engine(database_url), settings, feed, batch=37) for _ in range(2)]
        reports = [run.result() for run in runs]
    assert stored(engine) == list(range(1000))
    assert counts(engine) == (1000, 1000, 0, 0)
    assert sum(report.rows_read for report in reports) == 1000


def test_a_consumer_that_was_overtaken_goes_on_where_the_other_is(broker, engine, settings) -> None:
    feed = broker.feed()
    feed.send(numbered(0, 40))
    other = []

    def overtake(*_: object) -> None:
        if not other:
            other.append(drained(engine, settings, feed, batch=10, stop=lambda: counts(engine)[0] >= 30))

    report = drained(engine, settings, feed, batch=10, progress=overtake)
    assert (other[0].rows_read, report.rows_read) == (20, 20)
    assert counts(engine) == (40, 40, 0, 0)


def test_a_database_that_goes_away_in_a_batch_loses_nothing(broker, database_url, engine, settings) -> None:
    feed = broker.feed()
    feed.send(numbered(0, 5))
    drained(engine, settings, feed)
    feed.send(numbered(5, 25))
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with engine.connect() as holder, ThreadPoolExecutor() as pool:
        holder.execute(text("SELECT FROM liber.user_stream FOR UPDATE"))
        run = pool.submit(drained, db.engine(database_url), settings, feed)
        give_up = time.monotonic() + 30
        while not state.rows(engine, end):
            assert time.monotonic() < give_up
        with pytest.raises(ServiceUnavailable, match="PostgreSQL"):
            run.result()
    assert counts(engine) == (5, 5, 0, 0)
    assert drained(engine, settings, feed).accepted == 20
    assert stored(engine) == list(range(25))


def test_a_broker_that_comes_back_is_read_on(engine, settings, kafka) -> None:
    feed = kafka.feed()
    feed.send(numbered(0, 20))
    away: list[int] = []

    def cut(*_: object) -> None:
        if not away:
            kafka.gate.shut()
            away.append(0)

    def reopen() -> bool:
        if away:
            away.append(0)
            if len(away) == 4:  # two attempts failed
                kafka.gate.open()
                feed.send(numbered(20, 30))
        return False

    report = drained(engine, settings, feed, batch=10, progress=cut, stop=reopen)
    assert (report.rows_read, stored(engine)) == (30, list(range(30)))


def test_a_redis_server_that_restarts_is_read_on(engine, settings, redis_server) -> None:
    feed = redis_server.feed()
    feed.send(numbered(0, 20))
    steps: list[int] = []

    def stop(*_: object) -> None:
        if not steps:
            redis_server.stop()
            steps.append(0)

    def start() -> bool:
        if steps:
            steps.append(0)
            if len(steps) == 4:
                redis_server.start()
        return False

    report = drained(engine, settings, feed, batch=10, progress=stop, stop=start)
    assert (report.rows_read, stored(engine)) == (20, list(range(20)))


def test_a_broker_that_stays_away_is_a_clear_error_and_loses_nothing(engine, settings, broker) -> None:
    feed = broker.feed()
    feed.send(numbered(0, 20))
    shut, reopen = (
        (broker.gate.shut, broker.gate.open) if isinstance(broker, KafkaServer) else (broker.stop, broker.start)
    )
    try:
        with pytest.raises(ServiceUnavailable, match=r"cannot be reached: .*run again"):
            drained(engine, settings, feed, batch=10, patience=0.3, progress=lambda *_: shut())
    finally:
        reopen()
    assert stored(engine) in (list(range(10)), list(range(20)))  # Kafka's client may have fetched the second batch
    drained(engine, settings, feed)
    assert (stored(engine), counts(engine)) == (list(range(20)), (20, 20, 0, 0))


def test_credentials_are_never_shown(engine, settings, redis_server, kafka) -> None:
    feed = redis_server.feed()
    feed.send(numbered(0, 5))
    told: list[str] = []
    bare = feed.url.replace(f":{SECRET}@", "")
    good, wrong = (bare.replace("redis://", f"redis://default:{word}@") for word in (SECRET, f"{SECRET}x"))
    report = consume(engine, settings, good, until_idle=0, wait=0.02, progress=lambda *said: told.append(said[2]))
    kept = state.rows(engine, "SELECT source, position FROM liber.ingest_file")
    assert SECRET not in f"{report.to_dict()} {told} {kept}"
    with pytest.raises(InputError, match="the server refuses") as caught:
        consume(engine, settings, wrong, until_idle=0, wait=0.02)
    assert SECRET not in str(caught.value)

    url = kafka.feed().url.replace("kafka://", f"kafka://me:{SECRET}@") + "&security.protocol=SASL_PLAINTEXT"
    with pytest.raises((InputError, ServiceUnavailable)) as caught:
        consume(engine, settings, url, until_idle=0, wait=0.02, patience=0.3)
    assert SECRET not in str(caught.value)
