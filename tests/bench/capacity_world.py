"""A database of a given number of users, filled as the stages fill it; what it weighs and wrote."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from sqlalchemy import Engine, text

from liber_tasks.behavior.ingest import ingest
from liber_tasks.capacity import rows
from liber_tasks.capacity.inputs import Inputs
from liber_tasks.config import Settings
from liber_tasks.db import query
from liber_tasks.encoder import items as item_store
from liber_tasks.encoder import store as vector_store
from liber_tasks.encoder.nearest import make_index
from liber_tasks.interest import items, ledger, versions
from liber_tasks.interest.call import Call, ItemPlace, PartitionPlace
from liber_tasks.interest.item_prompt import item_knowledge
from liber_tasks.interest.prompts import knowledge_version
from liber_tasks.interest.server.answers import Answer, Spent
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests.bench.database import FIRST, Stream, cost, run, settle
from tests.bench.llm_fakes import WORDS
from tests.partition.streams import moment

K, MEAN, SPREAD, DIMENSION = 20, 50, 1.0, 64
END = moment(4_000_000_000)
CHARACTERS = {
    kind: round(getattr(Inputs(), f"{kind}_tokens_out") * rows.TEXT_PER_TOKEN) for kind in ("summary", "shift", "item")
}
ENCODER = "minilm-float32-mean-64-0123456789"  # as long as such names are
CALLS, VECTORS, STREAK = 64, 512, 20_000  # in a transaction; rows between vacuums
SIZES = """
SELECT c.relname, pg_total_relation_size(c.oid)
FROM pg_class AS c WHERE c.relnamespace = 'liber'::regnamespace AND c.relkind = 'r'
UNION ALL
SELECT 'interest_nearest', sum(pg_relation_size(c.oid))::bigint
FROM pg_class AS c WHERE c.relnamespace = 'liber'::regnamespace AND c.relname LIKE 'interest_nearest%'"""


class World:
    """Everything of `users` users, one stage after another; each stage's WAL, CPU-seconds and rows."""

    def __init__(self, engine: Engine, settings: Settings, users: int, folder: Path) -> None:
        self.engine, self.settings, self.users, self.folder = engine, settings, users, folder
        self.items = max(users // 4, 100)
        self.wal: dict[str, int] = {}
        self.cpu: dict[str, float] = {}

    def fill(self) -> None:
        """All stages; vacuumed now and then as autovacuum would, but always at the same rows."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # nobody waits for the disk here: the bytes stay the same
            run(connection, "ALTER SYSTEM SET autovacuum = off", "ALTER SYSTEM SET synchronous_commit = off",
                "SELECT pg_reload_conf()")  # fmt: skip
        made = stream(self.users)
        path = made.write(self.folder / f"events-{self.users}.parquet", 0, len(made.user))
        catalogue = self._catalogue()
        self._stage("item", lambda engine: ingest(engine, self.settings, [catalogue], kind="items"))
        self._stage("behavior", lambda engine: ingest(engine, self.settings, [path]))
        self._stage("behavior_partition", lambda engine: seal(engine, PartitionRule(K), END))
        self._stage("interest", self._learn)
        self._stage("item_knowledge", self._describe)
        self._stage("interest_vector", self._encode)
        self._stage("item_vector", self._encode_items)
        self._stage("interest_nearest", lambda engine: make_index(engine, ENCODER, self.version))
        settle(self.engine)

    def sizes(self) -> dict[str, int]:
        """Bytes by table, indexes included; the HNSW index apart from its table."""
        with self.engine.connect() as connection:
            found: dict[str, int] = {name: int(size or 0) for name, size in connection.execute(text(SIZES))}
        found["interest_vector"] -= found["interest_nearest"]
        return found

    def counts(self) -> dict[str, int]:
        """Rows."""
        asked = (
            "SELECT (SELECT count(*) FROM liber.behavior) AS behaviors, (SELECT count(*) FROM liber.user_stream)"
            " AS users, count(*) AS partitions, count(DISTINCT user_key) AS learnt,"
            " (SELECT count(*) FROM liber.interest) AS texts, (SELECT count(*) FROM liber.item) AS items"
            " FROM liber.behavior_partition"
        )
        with self.engine.connect() as connection:
            return dict(connection.execute(text(asked)).mappings().one())

    def _stage(self, name: str, work: Callable[[Engine], object]) -> None:
        settle(self.engine)
        start = self._lsn()
        self.cpu[name] = cost(self.engine, work).total
        self.wal[name] = self._lsn() - start

    def _lsn(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(text("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")).scalar_one())

    def _catalogue(self) -> Path:
        table = pa.table({"item_id": [f"item-{n:06d}" for n in range(self.items)],
                          "title": [f"The {WORDS[n % 10]} {WORDS[n % 7]} of Number {n}" for n in range(self.items)],
                          "genres": [["Comedy", "Drama"]] * self.items,
                          "description": [" ".join(WORDS)] * self.items})  # fmt: skip
        path = self.folder / f"items-{self.users}.parquet"
        parquet.write_table(table, path)
        return path

    def _learn(self, engine: Engine) -> None:
        """A claim and a store for each summary and shift, as a run makes them, without the LLM between."""
        knowledge = knowledge_version(self.settings)
        self.version = knowledge.version
        versions.name_version(engine, knowledge)
        with engine.connect() as connection:
            keys = connection.execute(text("SELECT user_key, partition_no FROM liber.behavior_partition ORDER BY 1, 2"))
            calls = [_call(kind, PartitionPlace("", user, number)) for user, number in keys
                     for kind in ("summary", "shift")[: 1 + (number > 1)]]  # fmt: skip
        self._ask(engine, ledger.PARTITIONS, knowledge.version, calls)

    def _describe(self, engine: Engine) -> None:
        knowledge = item_knowledge(self.settings)
        versions.name_version(engine, knowledge)
        with engine.connect() as connection:
            keys = connection.execute(text("SELECT item_key FROM liber.item ORDER BY 1")).scalars()
            calls = [
                _call("item", ItemPlace(str(key), key, hashlib.sha256(str(key).encode()).hexdigest())) for key in keys
            ]
        self._ask(engine, items.ITEMS, knowledge.version, calls)

    def _ask(self, engine: Engine, subject: Any, version: str, calls: Sequence[Call[Any]]) -> None:
        books = ledger.Ledger(self.engine, subject, version, f"cli-20261130T120000-{'0' * 6}#0/8")
        try:
            for number, batch in enumerate(_batches(calls, CALLS)):
                books.claim(batch)
                books.store([ledger.Result(call, _answer(call), call.prompt, 0) for call in batch])
                if number % (STREAK // CALLS) == STREAK // CALLS - 1:
                    settle(self.engine)
        finally:
            books.close("the benchmark ended")

    def _encode(self, engine: Engine) -> None:
        with engine.begin() as connection:
            run(
                connection,
                "INSERT INTO liber.encoder (encoder_version, model, pooling, dtype, dimension, pca_sha256, pca,"
                " fitted_texts, explained_variance)"
                " VALUES ('minilm-float32-mean-64-0123456789', 'm', 'mean', 'float32', 64, 'x', '', 1, 1)",
            )
        named = {"encoder_version": ENCODER, "knowledge_version": self.version}
        with engine.connect() as connection:
            pending = connection.execute(query("encoder/pending"), named).mappings().all()
        dice = np.random.default_rng(0)
        for batch in _batches(pending, VECTORS):
            vector_store._store(engine, named, batch, dice.normal(size=(len(batch), DIMENSION)).astype(np.float32))

    def _encode_items(self, engine: Engine) -> None:
        with engine.connect() as connection:
            keys = list(connection.execute(text("SELECT item_key FROM liber.item ORDER BY 1")).scalars())
        dice = np.random.default_rng(0)
        for kind, width in (("dense", 384), ("lexical", 256)):
            for batch in _batches(keys, VECTORS):
                vectors = dice.normal(size=(len(batch), width)).astype(np.float32)
                digests = [hashlib.sha256(str(key).encode()).hexdigest() for key in batch]
                item_store._store(engine, f"{ENCODER}-{kind}", batch, digests, vectors)


def stream(users: int) -> Stream:
    """Behaviours of users whose activity differs by a gamma law of shape `SPREAD`, in a mixed order."""
    dice = np.random.default_rng(0)
    n = dice.poisson(dice.gamma(SPREAD, MEAN / SPREAD, users))
    user = dice.permutation(np.repeat(np.arange(users), n))
    return Stream(user, dice.integers(0, max(users // 4, 100), len(user)), FIRST + np.arange(len(user)) // 10)


def _call(kind: Any, place: Any) -> Call[Any]:
    owner = [place.user_key, place.partition_no] if isinstance(place, PartitionPlace) else [place.item_key]
    key = hashlib.sha256(json.dumps([kind, *owner]).encode()).hexdigest()
    return Call(key, place, kind, f"Prompt {key}", 40, lambda _: "", 0)


def _answer(call: Call[Any]) -> Answer:
    size = CHARACTERS[call.kind]
    words = np.random.default_rng(int(call.key[:8], 16)).choice(WORDS, size // 4)
    text = " ".join(words)[:size].strip().ljust(size, ".")
    return Answer(text, 700, 40, 0.5, "stop", Spent(700, 40), "vllm some-model-8b", True)


def _batches(values: Sequence[Any], size: int) -> Iterator[Any]:
    return (values[start : start + size] for start in range(0, len(values), size))
