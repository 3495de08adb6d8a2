"""Erasing a user against a bare DELETE of the same behaviours by their primary key: CPU-seconds and waiting time.

The bare DELETE is the limit: the rows have to be marked. What stands between is every other table, the digest that
refuses the user from then on, quarantined raw texts, and locks against whoever would bring the user back.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text

from liber_tasks.behavior.erase import erase
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests.bench.database import Cost, cluster, cost, database, median, run, say, settle, stream
from tests.bench.seal import END

USERS = 40


def measure(size: int = 1_000_000) -> tuple[dict[str, Any], dict[str, Any]]:
    """`size` events, sealed; users of middling activity erased and deleted in turns, then the most active one."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    users = min(size // 100, 100_000)
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
        for n in range(middle, middle + 2 * USERS, 2):
            start = time.perf_counter()
            erased.append(cost(engine, lambda engine, n=n: erase(engine, by_activity[n].user_id)))
            waited.append(time.perf_counter() - start)

            def delete(engine: Any, n: int = n) -> None:
                with engine.begin() as connection:
                    run(connection, f"DELETE FROM liber.behavior WHERE user_key = {by_activity[n + 1].user_key}")  # noqa: S608

            deleted.append(cost(engine, delete))
        start = time.perf_counter()
        heaviest = cost(engine, lambda engine: erase(engine, by_activity[-1].user_id))
        heaviest_s = time.perf_counter() - start
    total = {name: sum(c.total for c in costs) / USERS for name, costs in (("erase", erased), ("delete", deleted))}
    figures = {
        "events": size,
        "users": users,
        "behaviors_of_a_user": by_activity[middle].last_seq,
        "erase_cpu_ms": total["erase"] * 1e3,
        "delete_cpu_ms": total["delete"] * 1e3,
        "erase_wall_ms": statistics.median(waited) * 1e3,
        "erase_cpu_ms_median": median(erased) * 1e3,
        "heaviest_behaviors": by_activity[-1].last_seq,
        "heaviest_cpu_ms": heaviest.total * 1e3,
        "heaviest_wall_ms": heaviest_s * 1e3,
    }
    return {"erase_over_delete": total["erase"] / max(total["delete"], 1e-3)}, figures
