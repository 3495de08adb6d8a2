"""Ingest against a raw logged COPY of the same rows: CPU-seconds of client and server, reading the file excluded.

The limit compared with is a heap without indexes, filled by COPY from rows that already carry their keys. What stands
between: ids to keys, duplicates, dense seq, two unique indexes, rows written twice (stage and table).
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from liber_tasks.behavior.checks import check
from liber_tasks.behavior.ingest import ingest
from liber_tasks.behavior.sources import LAYOUTS, find
from liber_tasks.config import Settings
from tests.bench.database import Cost, cluster, cost, database, median, run, say, settle, stream
from tests.partition.streams import moment

ROUNDS = 3
PEAK = r"""
import re, sys
from liber_tasks import db
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
ingest(db.engine(sys.argv[1]), Settings(_env_file=None), [sys.argv[2]])
print(int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) // 1024)
"""


def measure(size: int = 1_000_000) -> tuple[dict[str, Any], dict[str, Any]]:
    """`size` events, a tenth as many users at most 100,000; an empty database each round."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    users = min(size // 100, 100_000)
    ours: list[Cost] = []
    parse: list[Cost] = []
    bare: list[Cost] = []
    indexed: list[Cost] = []
    with tempfile.TemporaryDirectory(prefix="liber-bench-") as folder, cluster() as server:
        say(f"ingest: writing {size:,} events of {users:,} users")
        path = stream(size, users).write(Path(folder) / "events.parquet", 0, size)
        for number in range(ROUNDS):
            engine = database(server)
            ours.append(cost(engine, lambda engine: ingest(engine, settings, [path])))
            parse.append(cost(engine, lambda engine: _read(path)))
            rows = Path(folder) / "rows.copy"
            _export(engine, rows)
            bare.append(_raw(engine, rows, "INCLUDING DEFAULTS"))
            indexed.append(_raw(engine, rows, "INCLUDING ALL"))
            say(f"ingest: round {number + 1}: {ours[-1]}, of it reading {parse[-1].client:.2f}, raw {bare[-1]}")
        url = database(server).url.render_as_string(hide_password=False)
        peak = int(subprocess.check_output([sys.executable, "-c", PEAK, url, str(path)], text=True))
    load = median(ours) - median(parse)
    figures = {
        "events": size,
        "users": users,
        "ingest_cpu_s": median(ours),
        "ingest_server_cpu_s": sorted(found.server for found in ours)[ROUNDS // 2],
        "reading_cpu_s": median(parse),
        "raw_copy_cpu_s": median(bare),
        "raw_copy_with_indexes_cpu_s": median(indexed),
    }
    ratios = {
        "ingest_over_copy": load / median(bare),
        "ingest_over_copy_with_indexes": load / median(indexed),
        "client_peak_mb": peak,
    }
    return ratios, figures


def _read(path: Path) -> None:
    """What ingest does before the first row is sent: file to blocks, blocks to typed and checked columns."""
    for block in find([path])[0].blocks(LAYOUTS["behaviors"]):
        check(block, "behaviors", moment(4_000_000_000))


def _export(engine: Engine, rows: Path) -> None:
    with engine.connect() as connection, rows.open("wb") as file:
        connection.connection.cursor().copy_expert("COPY liber.behavior TO STDOUT WITH BINARY", file)


def _raw(engine: Engine, rows: Path, like: str) -> Cost:
    """COPY of the rows into an empty logged table of the same columns."""
    with engine.begin() as connection:
        run(connection, "DROP TABLE IF EXISTS raw", f"CREATE TABLE raw (LIKE liber.behavior {like})")
    settle(engine)

    def copy(engine: Engine) -> None:
        with engine.begin() as connection, rows.open("rb") as file:
            connection.connection.cursor().copy_expert("COPY raw FROM STDIN WITH BINARY", file, size=1 << 20)

    return cost(engine, copy)
