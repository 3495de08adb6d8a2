"""What the database benchmarks share: a cluster of their own, CPU-seconds of a backend, a synthetic stream."""

import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from sqlalchemy import Connection, Engine, text

from liber_tasks import db
from liber_tasks.local import postgres
from tests.conftest import free_port

TICKS = os.sysconf("SC_CLK_TCK")
FIRST = 1_700_000_000  # epoch seconds of the first event


def say(message: str) -> None:
    """Progress on stderr."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def cluster() -> Iterator[postgres.Cluster]:
    """A cluster of its own with the local stack's settings, its WAL files in place; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="liber-bench-") as folder:
        server = postgres.Cluster(Path(folder) / "data", free_port(), secrets.token_urlsafe(12))
        server.prepare()
        child = server.spawn()
        try:
            with db.engine(server.url("postgres")).begin() as connection:
                # a server in use recycles its WAL files; a new one would make them during the first measurement
                run(connection, "CREATE TABLE filler AS SELECT repeat('x', 900) FROM generate_series(1, 1000000)")
                run(connection, "DROP TABLE filler")
            settle(db.engine(server.url("postgres")))
            yield server
        finally:
            postgres.stop(child)


def database(server: postgres.Cluster) -> Engine:
    """An empty LIBER database."""
    name = f"bench_{secrets.token_hex(4)}"
    server.ensure({}, {name: "postgres"})
    db.init_db(server.url(name))
    return db.engine(server.url(name))


@dataclass(frozen=True)
class Cost:
    """CPU-seconds."""

    client: float
    server: float

    @property
    def total(self) -> float:
        return self.client + self.server


def backend_seconds(pid: int) -> float:
    """CPU-seconds a server process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def cost(engine: Engine, work: Callable[[Engine], object]) -> Cost:
    """CPU-seconds of `work`, in this process and in every backend it used.

    A backend's time is read while it lives: the engine given to `work` keeps its connection until the reading.
    """
    from sqlalchemy import create_engine

    kept = create_engine(engine.url, pool_size=1, max_overflow=0)  # one backend for all of `work`
    with kept.connect() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        connection.rollback()
    before = backend_seconds(pid)
    start = time.process_time()
    work(kept)
    spent = Cost(time.process_time() - start, backend_seconds(pid) - before)
    kept.dispose()
    return spent


def median(costs: list[Cost]) -> float:
    """Median of the totals."""
    return statistics.median(found.total for found in costs)


def run(connection: Connection, *statements: str) -> None:
    """Statements of a benchmark's own set-up."""
    for statement in statements:
        connection.execute(text(statement))


def settle(engine: Engine) -> None:
    """Statistics, visibility map and a checkpoint, so that a measurement does not pay for the set-up."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        run(connection, "VACUUM ANALYZE", "CHECKPOINT")


@dataclass(frozen=True)
class Stream:
    """Synthetic events in order of time: users and items by Zipf's law, sessions of a few minutes."""

    user: np.ndarray
    item: np.ndarray
    seconds: np.ndarray

    def batch(self, start: int, stop: int) -> pa.RecordBatch:
        """Rows as `liber ingest` reads them."""
        rows = slice(start, stop)
        n = len(self.user[rows])
        return pa.record_batch(
            {
                "event_id": pa.array([f"e{number:011d}" for number in range(start, start + n)]),
                "user_id": pa.array([f"user-{number:07d}" for number in self.user[rows].tolist()]),
                "item_id": pa.array([f"item-{number:06d}" for number in self.item[rows].tolist()]),
                "event_time": pa.array(self.seconds[rows] * 1_000_000, pa.timestamp("us", "UTC")),
                "kind": pa.array(["play"] * n),
                "play_seconds": pa.array((self.seconds[rows] % 300).astype(np.float32)),
            }
        )

    def write(self, path: Path, start: int, stop: int) -> Path:
        """Those rows as a Parquet file."""
        step = 250_000
        writer = parquet.ParquetWriter(path, self.batch(start, start + 1).schema)
        for first in range(start, stop, step):
            writer.write_batch(self.batch(first, min(first + step, stop)))
        writer.close()
        return path


def stream(events: int, users: int, *, seed: int = 0) -> Stream:
    """A synthetic stream.

    Args:
        events: how many.
        users: of whom; activity falls with rank as 1 / (rank + 10).
        seed: of the random numbers.
    """
    dice = np.random.default_rng(seed)

    def zipf(kinds: int) -> np.ndarray:
        weight = 1 / (np.arange(kinds) + 10)
        return dice.permutation(kinds)[np.searchsorted(np.cumsum(weight / weight.sum()), dice.random(events))]

    seconds = FIRST + np.sort(dice.integers(0, 180 * 86_400, events))
    return Stream(zipf(users).astype(np.int64), zipf(50_000).astype(np.int64), seconds.astype(np.int64))
