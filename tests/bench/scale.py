"""What the schema costs per event, plain and hash-partitioned: disk, WAL, workers, a day of small batches.

One server, one database a layout, autovacuum off so that what a day leaves behind can be counted. Bytes are exact;
`per_100m` is those bytes times 100M / size, nothing else.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from liber_tasks import scale
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from liber_tasks.types import Shard
from tests.bench.database import Stream, backend_seconds, cluster, cost, database, run, say, settle, stream
from tests.partition.streams import moment

PARTITIONS = 16
ROUNDS = 3
BATCHES = 200
SHARE = 0.0005  # of the events in the database, a batch
END = moment(4_000_000_000)
COUNT = PartitionRule(20)
GAP = PartitionRule(20, gap=timedelta(days=3))

_SIZES = """
SELECT c.relname, sum(pg_relation_size(coalesce(leaf.relid, c.oid)))::bigint
FROM pg_class AS c LEFT JOIN LATERAL pg_partition_tree(c.oid) AS leaf ON TRUE
WHERE c.relnamespace = 'liber'::regnamespace AND NOT c.relispartition AND c.relkind IN ('r', 'p', 'i', 'I')
AND (c.relname LIKE 'behavior%' OR c.relname LIKE 'user_stream%' OR c.relname LIKE 'user_profile%')
GROUP BY 1 ORDER BY 1"""
_RESET = (
    "TRUNCATE liber.behavior_partition",
    "UPDATE liber.user_stream SET first_unsealed_seq = 1, last_partition_no = 0, examined_rule = 0",
    "ANALYZE liber.behavior",
)
# Pages that WAL holds whole: the first change of a page after a checkpoint writes 8 KiB, less its empty middle.
_FULL_PAGES = "SELECT wal_fpi FROM pg_stat_wal"
_UPDATES = """
SELECT n_tup_upd, n_tup_hot_upd, n_dead_tup FROM pg_stat_user_tables
WHERE schemaname = 'liber' AND relname = 'user_stream'"""


def measure(size: int = 1_000_000) -> tuple[dict[str, Any], dict[str, Any]]:
    """`size` events of a hundredth as many users, in one file; then a day of 200 batches of 0.05 % each."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    batch = max(int(size * SHARE), 1)
    events = stream(size + batch * BATCHES, max(size // 100, 10))
    figures: dict[str, Any] = {"events": size, "users": max(size // 100, 10), "batches": BATCHES, "batch": batch}
    with tempfile.TemporaryDirectory(prefix="liber-bench-") as folder, cluster() as server:
        say(f"scale: writing {size:,} events and {BATCHES} batches of {batch:,}")
        whole = events.write(Path(folder) / "events.parquet", 0, size)
        for layout, partitions in (("plain", 0), (f"hash_{PARTITIONS}", PARTITIONS)):
            engine = database(server)
            url = engine.url.render_as_string(hide_password=False)
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                run(connection, "ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()")
            if partitions:
                scale.hash_partition(url, partitions)
            found = _load(engine, settings, whole) | _seal(engine)
            found["bytes"] = dict(_rows(engine, _SIZES))
            found |= _day(engine, settings, events, size, Path(folder))
            found["per_100m"] = _per_100m(found, size)
            figures[layout] = found
            say(f"scale: {layout}: {found}")
    return _ratios(figures["plain"], figures[f"hash_{PARTITIONS}"]), figures


def _load(engine: Engine, settings: Settings, path: Path) -> dict[str, Any]:
    settle(engine)
    (spent,), wal, _ = _measured(engine, [lambda engine: ingest(engine, settings, [path])])
    settle(engine)
    say(f"scale: ingested: {spent:.1f} CPU-s of the server, {wal >> 20} MiB of WAL")
    return {"ingest_server_cpu_s": round(spent, 2), "ingest_wal": wal}


def _seal(engine: Engine) -> dict[str, Any]:
    """Everything sealed anew with each rule by one and two workers, in turns; by count and one worker at the end."""
    costs: dict[str, list[tuple[float, int, float]]] = {}
    found: dict[str, Any] = {}
    for _ in range(ROUNDS):
        for name, rule, workers in (("gap", GAP, 1), ("gap", GAP, 2), ("count", COUNT, 2), ("count", COUNT, 1)):
            _unseal(engine)
            jobs = [
                lambda engine, i=i, rule=rule, workers=workers: seal(engine, rule, END, shard=Shard(i, workers))
                for i in range(workers)
            ]
            spent, wal, wall = _measured(engine, jobs)
            costs.setdefault(f"seal_{name}_{workers}_workers", []).append((sum(spent), wal, wall))
            found[f"seal_{name}_partitions"] = _rows(engine, "SELECT count(*) FROM liber.behavior_partition")[0][0]
    for key, rounds in costs.items():
        cpu, wal, wall = (statistics.median(values) for values in zip(*rounds, strict=True))
        found |= {f"{key}_server_cpu_s": round(cpu, 2), f"{key}_wall_s": round(wall, 2), f"{key}_wal": int(wal)}
        say(f"scale: {key}: {cpu:.2f} CPU-s of the server, {wall:.2f} s, {int(wal) >> 20} MiB of WAL")
    return found


def _unseal(engine: Engine) -> None:
    """No partitions, all streams in their caches, no trace of that in the table of streams."""
    with engine.begin() as connection:
        run(connection, *_RESET)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        run(connection, "VACUUM FULL liber.user_stream")
    settle(engine)


def _day(engine: Engine, settings: Settings, events: Stream, size: int, folder: Path) -> dict[str, Any]:
    """Small batches, each ingested and sealed; then what VACUUM finds."""
    batch = max(int(size * SHARE), 1)
    settle(engine)
    updated, hot, _ = _rows(engine, _UPDATES)[0]
    before = dict(_rows(engine, _SIZES))
    start, pages = _lsn(engine), _rows(engine, _FULL_PAGES)[0][0]
    for number in range(BATCHES):
        first = size + number * batch
        path = events.write(folder / "batch.parquet", first, first + batch)
        ingest(engine, settings, [path])
        seal(engine, COUNT, END)
    wal = _lsn(engine) - start
    after = dict(_rows(engine, _SIZES))
    with engine.connect() as connection:
        run(connection, "SELECT pg_stat_force_next_flush()", "SELECT pg_stat_clear_snapshot()")
    updates, hot_updates, dead = _rows(engine, _UPDATES)[0]
    found = {
        "day_events": batch * BATCHES,
        "day_wal": wal,
        "day_full_pages": _rows(engine, _FULL_PAGES)[0][0] - pages,
        "stream_updates": updates - updated,
        "stream_hot_share": round((hot_updates - hot) / max(updates - updated, 1), 3),
        "stream_dead_tuples": dead,
        "stream_bytes_before_day": sum(n for name, n in before.items() if name.startswith("user_stream")),
        "stream_bytes_after_day": sum(n for name, n in after.items() if name.startswith("user_stream")),
    }
    for table in ("user_stream", "behavior", "behavior_partition"):
        found[f"vacuum_{table}_cpu_s"] = round(_vacuum(engine, table), 3)
    return found


def _measured(engine: Engine, jobs: Sequence[Callable[[Engine], object]]) -> tuple[list[float], int, float]:
    """Jobs at once: CPU-seconds of each one's backend, bytes of WAL and seconds of all."""
    start, clock = _lsn(engine), time.perf_counter()
    with ThreadPoolExecutor(len(jobs)) as pool:
        spent = list(pool.map(lambda job: cost(engine, job).server, jobs))
    return spent, _lsn(engine) - start, time.perf_counter() - clock


def _vacuum(engine: Engine, table: str) -> float:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        before = backend_seconds(pid)
        run(connection, f"VACUUM liber.{table}")
        return backend_seconds(pid) - before


def _lsn(engine: Engine) -> int:
    return int(_rows(engine, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")[0][0])


def _rows(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def _per_100m(found: dict[str, Any], size: int) -> dict[str, float]:
    """GB per 100M events: every relation, and the WAL of ingest, of sealing by count and of small batches."""
    wal = {name: found[f"{name}_wal"] / size for name in ("ingest", "seal_count_1_workers", "seal_gap_1_workers")}
    wal["day"] = found["day_wal"] / found["day_events"]
    bytes_an_event = {name: n / size for name, n in found["bytes"].items()} | {f"wal_{k}": v for k, v in wal.items()}
    return {name: round(n * 1e8 / 1e9, 2) for name, n in bytes_an_event.items()}


def _ratios(plain: dict[str, Any], split: dict[str, Any]) -> dict[str, float]:
    """Hash-partitioned over plain, and two workers over one (CPU of the server)."""
    pairs = {
        "hash_over_plain_ingest": (split["ingest_server_cpu_s"], plain["ingest_server_cpu_s"]),
        "hash_over_plain_disk": (sum(split["bytes"].values()), sum(plain["bytes"].values())),
        "hash_over_plain_wal": (split["ingest_wal"], plain["ingest_wal"]),
    }
    for rule in ("count", "gap"):
        key = f"seal_{rule}_{{}}_workers_{{}}"
        cpu, wall = "server_cpu_s", "wall_s"
        pairs[f"hash_over_plain_seal_{rule}"] = (split[key.format(1, cpu)], plain[key.format(1, cpu)])
        for layout, found in (("plain", plain), ("hash", split)):
            pairs[f"one_over_two_workers_{rule}_{layout}"] = (found[key.format(1, wall)], found[key.format(2, wall)])
    return {name: round(over / max(under, 0.01), 2) for name, (over, under) in pairs.items()}
