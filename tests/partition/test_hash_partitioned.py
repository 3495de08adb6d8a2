"""Promises of the hash-partitioned variant: the same schema and results, several workers, one partition a user."""

import random
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from liber_tasks import db, scale
from liber_tasks.behavior.erase import erase
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.db import query
from liber_tasks.errors import InputError, LiberError
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from liber_tasks.types import Shard
from tests.behavior import state
from tests.partition.oracle import Event, Rule, Stream, replay
from tests.partition.streams import arrived, as_rule, moment, partitions, write
from tests.partition.test_concurrency import at_once
from tests.partition.test_oracle import START, random_batch, random_rule, request

END = datetime(2100, 1, 1, tzinfo=UTC)
N = 8
WORKERS = 4

_COLUMNS = """
SELECT table_name, column_name, ordinal_position, data_type, udt_name, is_nullable, column_default
FROM information_schema.columns
WHERE table_schema = 'liber' AND table_name NOT SIMILAR TO 'behavior(_partition)?_h[0-9]+' ORDER BY 1, 2"""
_CONSTRAINTS = """
SELECT t.relname, c.conname, c.contype::text, pg_get_constraintdef(c.oid)
FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
WHERE c.connamespace = 'liber'::regnamespace AND NOT t.relispartition ORDER BY 1, 2"""
_INDEXES = """
SELECT t.relname, i.relname, replace(pg_get_indexdef(i.oid), ' ON ONLY ', ' ON ')
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
WHERE t.relnamespace = 'liber'::regnamespace AND NOT t.relispartition ORDER BY 1, 2"""
_CHILDREN = """
SELECT p.relname, count(*), count(DISTINCT x.n) FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent
JOIN LATERAL (SELECT count(*) AS n FROM pg_index i WHERE i.indrelid = h.inhrelid AND i.indisvalid) x ON TRUE
WHERE p.relkind = 'p' GROUP BY 1 ORDER BY 1"""
_TOUCHED = """
SELECT relname FROM pg_stat_xact_user_tables
WHERE relname SIMILAR TO 'behavior(_partition)?_h[0-9]+' AND coalesce(seq_scan, 0) + coalesce(idx_scan, 0) > 0"""


@pytest.fixture
def database_url(database_url: str) -> str:
    """URL of a fresh database whose behaviour tables are hash-partitioned."""
    assert scale.hash_partition(database_url, N)
    return database_url


def shape(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """What statements can see of the schema."""
    return {statement: state.rows(engine, statement) for statement in (_COLUMNS, _CONSTRAINTS, _INDEXES)}


def in_shards(engine: Engine, rule: PartitionRule, watermark: datetime) -> None:
    """Seal by several workers at once, each with its part of the users."""
    at_once(*[lambda i=i: seal(engine, rule, watermark, shard=Shard(i, WORKERS)) for i in range(WORKERS)])


def test_tables_views_columns_constraints_and_indexes_are_those_of_the_plain_schema(engine: Engine, cluster) -> None:
    assert shape(engine) == shape(db.engine(cluster.url("liber_template")))
    assert state.rows(engine, _CHILDREN) == [("behavior", N, 1), ("behavior_partition", N, 1)]


def test_a_second_call_and_a_second_init_db_do_nothing(engine: Engine, database_url: str) -> None:
    before = shape(engine)
    assert scale.hash_partition(database_url, N) is False
    assert db.init_db(database_url) == []
    assert shape(engine) == before


def test_another_number_of_partitions_is_refused(database_url: str) -> None:
    with pytest.raises(InputError, match=f"has {N} hash partitions, not 16"):
        scale.hash_partition(database_url, 16)


@pytest.mark.parametrize("number", [0, 1, 3, 12, 2048, -2])
def test_only_powers_of_two_are_accepted(database_url: str, number: int) -> None:
    with pytest.raises(InputError, match="power of two from 2 to 1024"):
        scale.hash_partition(database_url, number)


def test_a_database_with_behaviours_stays_plain(cluster, settings: Settings, tmp_path: Path) -> None:
    cluster.ensure({}, {"plain": "postgres"})
    url = cluster.url("plain")
    with pytest.raises(LiberError, match="liber init-db"):
        scale.hash_partition(url, N)
    db.init_db(url)
    before = shape(db.engine(url))
    ingest(db.engine(url), settings, [write(tmp_path / "e.jsonl", {"u": [Event("e", 1)]})])
    with pytest.raises(InputError, match="holds behaviours already"):
        scale.hash_partition(url, N)
    assert shape(db.engine(url)) == before
    assert len(state.stream(db.engine(url))) == 1


@pytest.mark.parametrize("seed", range(4))
def test_three_ingesters_and_a_sealer_a_shard_give_the_oracles_result_under_any_rule(
    engine: Engine, settings: Settings, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(1000 + seed)
    users = [f"u{n}" for n in range(60)]
    oracles = {user: Stream() for user in users}
    rule, clock = random_rule(dice), START
    for n in range(6):
        clock += dice.randint(0, 60)
        batch = random_batch(dice, users, n, clock)
        paths = [
            write(tmp_path / f"{n}-{part}.jsonl", {u: batch[u] for u in list(batch)[part::3]})
            for part in range(min(3, len(batch)))
        ]
        at_once(*[lambda path=path: ingest(engine, settings, [path]) for path in paths])
        for user, arriving in batch.items():
            oracles[user].arrive(arriving)
            if dice.random() < 0.2:
                decided = dice.randint(1, len(oracles[user].arrived))
                cut = {decided: dice.randint(1, decided)}
                oracles[user].cuts = cut | oracles[user].cuts
                request(engine, user, cut)
        if dice.random() < 0.2:
            rule = random_rule(dice)
        watermark = clock + dice.randint(-30, 60)
        in_shards(engine, as_rule(rule), moment(watermark))
        for oracle in oracles.values():
            oracle.seal(rule, watermark)
    assert partitions(engine, *users) == {user: oracle.partitions for user, oracle in oracles.items()}
    for user, oracle in oracles.items():
        assert arrived(engine, user) == oracle.arrived


@pytest.mark.parametrize("seed", range(2))
def test_ingesters_and_sealers_that_overlap_give_the_oracles_result(
    engine: Engine, settings: Settings, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    users = [f"u{n}" for n in range(12)]
    # event "<number of the file>-0" of a user is in one file; the others may come again
    files = [
        {
            user: [Event(f"{number}-0", dice.randrange(1000, 1100))]
            + [Event(f"{dice.randrange(14)}-{m}", dice.randrange(1000, 1100)) for m in range(1, dice.randrange(2, 9))]
            for user in dice.sample(users, dice.randrange(3, len(users)))
        }
        for number in range(14)
    ]
    paths = [write(tmp_path / f"{n:02}.jsonl", file) for n, file in enumerate(files)]
    loading = threading.Semaphore(0)

    def load(mine: list[Path]) -> None:
        try:
            for path in mine:
                ingest(engine, settings, [path])
        finally:
            loading.release()

    def keep_sealing(shard: Shard) -> None:
        while loading._value < 2:
            seal(engine, PartitionRule(4), END, shard=shard)

    sealers = [lambda i=i: keep_sealing(Shard(i, 2)) for i in range(2)]
    at_once(lambda: load(paths), lambda: load(paths[::-1]), *sealers)
    in_shards(engine, PartitionRule(4), END)
    sealed = partitions(engine, *users)
    for user in users:
        found = arrived(engine, user)
        # which file came first was up to the threads; that order given, nothing else was
        order = [int(event.event_id[:-2]) for event, _ in found if event.event_id.endswith("-0")]
        assert sorted(order) == [n for n, file in enumerate(files) if user in file]
        expected = replay([files[n][user] for n in order], Rule(4), int(END.timestamp()))
        assert (found, sealed[user]) == (expected.arrived, expected.partitions)


@pytest.fixture
def filled(engine: Engine, settings: Settings, tmp_path: Path) -> Engine:
    """Three hundred users with 60 behaviours, two partitions and a cache of 20 each."""
    events = [Event(f"e{n:03}", START + n) for n in range(60)]
    ingest(engine, settings, [write(tmp_path / "e.jsonl", {f"u{n}": events for n in range(300)})])
    assert seal(engine, PartitionRule(20), moment(START + 50)).partitions == 600
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    return engine


READS: dict[str, dict[str, Any]] = {
    "interest/partitions": {"user_keys": [7], "knowledge_version": "k"},
    "interest/behaviors": {"user_keys": [7], "knowledge_version": "k", "length": None, "items": None},
    "interest/partition_behaviors": {"user_key": 7, "partition_no": 2, "length": None},
    "interest/timeline": {"user_key": 7, "knowledge_version": None},
    "interest/timeline_items": {"user_key": 7},
    "erase/lock_partitions": {"user_key": 7},
    "erase/rows": {"user_key": 7, "user_id": "u6"},
    "partition/cut_events": {"users": ["u6"], "events": ["e055"], "decided": ["e057"]},
    "partition/seal_count": {"users": [7], "k": 20, "watermark": END},
    "partition/seal_bounds": {
        "users": [7], "k": 9, "gap": 5.0, "max_age": None, "min_events": 1, "model": True, "rule": 1, "watermark": END,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", READS)
def test_what_concerns_one_user_touches_one_partition_of_a_table(filled: Engine, name: str) -> None:
    with filled.connect() as connection:
        found = connection.execute(query(name), READS[name]).all()
        touched = sorted(connection.execute(text(_TOUCHED)).scalars())
    assert found, "the statement found something to read"
    assert touched, "and read it from the tables in question"
    numbers = {table.rpartition("_")[2] for table in touched}
    assert len(numbers) == 1, f"{name} read {touched}"


def test_an_erased_user_is_gone_from_the_partitions_and_from_their_statistics(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    users = {f"user{n}": [Event(f"of user{n}: {m}", START + m) for m in range(40)] for n in range(20)}
    ingest(engine, settings, [write(tmp_path / "e.jsonl", users)])
    seal(engine, PartitionRule(20), END)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    known = (
        "SELECT DISTINCT tablename FROM pg_stats WHERE schemaname = 'liber'"
        " AND histogram_bounds::text ~ 'user7:' AND tablename LIKE 'behavior_h%'"
    )
    assert state.rows(engine, known)
    removed = erase(engine, "user7").removed
    assert (removed["behavior"], removed["behavior_partition"]) == (40, 2)
    assert not [row for row in state.stream(engine) if row[0] == "user7"]
    assert state.rows(engine, known) == []
