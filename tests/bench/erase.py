"""Erasing a user against a bare DELETE of the same behaviours by their primary key: CPU-seconds and waiting time.

The bare DELETE is the limit: the rows have to be marked. What stands between is every other table, the digest that
refuses the user from then on, quarantined raw texts, and locks against whoever would bring the user back.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from liber_tasks.behavior.erase import erase
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests.bench.database import Cost, cluster, cost, database, say, settle, stream
from tests.bench.seal import END

USERS = 40  # of each sort


def measure(size: int = 1_000_000) -> tuple[dict[str, Any], dict[str, Any]]:
    """`size` events, sealed; usual users erased, then the most active ones erased and deleted in turns."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    users = min(size // 100, 100_000)
    usual: list[Cost] = []
    erased: list[Cost] = []
    deleted: list[Cost] = []
    waited: list[float] = []
    with tempfile.TemporaryDirectory(prefix="liber-bench-") as folder, cluster() as server:
        engine = database(server)
        say(f"erase: ingesting {size:,} events of {users:,} users")
        ingest(engine, settings, [stream(size, users).write(Path(folder) / "events.parquet", 0, size)])
        seal(engine, PartitionRule(20), END)
        settle(engine)
        with engine.connect() as connection:
            by_activity = connection.execute(
                text("SELECT u.user_id, u.user_key, t.last_seq FROM liber.user_stream AS t"
                     " INNER JOIN liber.user_profile AS u ON t.user_key = u.user_key ORDER BY t.last_seq, u.user_id")
            ).all()  # fmt: skip
        middle = len(by_activity) // 2
        for user in by_activity[middle : middle + USERS]:
            start = time.perf_counter()
            usual.append(cost(engine, lambda engine, user=user: erase(engine, user.user_id)))
            waited.append(time.perf_counter() - start)
        for user, other in zip(by_activity[-1:-USERS:-2], by_activity[-2:-USERS:-2], strict=False):
            erased.append(cost(engine, lambda engine, user=user: erase(engine, user.user_id)))

            def delete(engine: Engine, key: int = other.user_key) -> None:
                with engine.begin() as connection:
                    connection.execute(text("DELETE FROM liber.behavior WHERE user_key = :key"), {"key": key})

            deleted.append(cost(engine, delete))
    # sums, because a single one is shorter than the server's clock of CPU time
    total = {"erase": sum(c.total for c in erased), "delete": sum(c.total for c in deleted)}
    figures = {
        "events": size,
        "users": users,
        "usual_behaviors": by_activity[middle].last_seq,
        "usual_erase_cpu_ms": sum(c.total for c in usual) / USERS * 1e3,
        "usual_erase_wall_ms": statistics.median(waited) * 1e3,
        "active_behaviors": statistics.mean(user.last_seq for user in by_activity[-USERS:]),
        "active_erase_cpu_ms": total["erase"] / len(erased) * 1e3,
        "active_delete_cpu_ms": total["delete"] / len(deleted) * 1e3,
    }
    return {"erase_over_delete": total["erase"] / total["delete"]}, figures
