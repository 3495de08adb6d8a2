"""What a long run is watched by: memory of processes, and what PostgreSQL says of itself."""

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

MB = 1024  # kB
_GAUGES = """
SELECT
    sum(n_dead_tup)::bigint AS dead_rows,
    round(sum(n_dead_tup) / greatest(sum(n_dead_tup + n_live_tup), 1), 4)::float8 AS dead_share,
    pg_database_size(current_database()) / 1048576 AS database_mb,
    (SELECT pg_total_relation_size('liber.user_stream') / 1048576.0)::float8 AS user_stream_mb,
    (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid())::integer
    AS connections,
    (pg_current_wal_insert_lsn() - '0/0')::bigint AS wal_bytes
FROM pg_stat_user_tables WHERE schemaname = 'liber'"""


def memory_mb(pid: int) -> dict[str, float]:
    """Proportional set size of a process in MB: all of it, and what no file and no shared memory stands behind."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("Pss", "Pss_Anon"):
            found[name] = int(rest.split()[0]) / MB
    return {"mb": round(found["Pss"], 1), "own_mb": round(found["Pss_Anon"], 1)}


def tree_mb(pid: int) -> dict[str, float]:
    """Likewise of a process and its children; those that end meanwhile count nothing."""
    total = {"mb": 0.0, "own_mb": 0.0}
    for each in (str(pid), *Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        try:
            for name, value in memory_mb(int(each)).items():
                total[name] += value
        except (FileNotFoundError, ProcessLookupError, KeyError):
            continue
    return {name: round(value, 1) for name, value in total.items()}


def gauges(engine: Engine) -> dict[str, Any]:
    """Dead rows, sizes, connections of others and WAL so far."""
    with engine.connect() as connection:
        return dict(connection.execute(text(_GAUGES)).mappings().one())


def own() -> dict[str, float]:
    """Memory, open files and threads of this process."""
    status = Path("/proc/self/status").read_text()
    threads = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("Threads:"))
    return {**memory_mb(os.getpid()), "files": len(list(Path("/proc/self/fd").iterdir())), "threads": threads}
