"""Sealing against an INSERT..SELECT of the same behaviours: CPU-seconds of client and server.

The limit compared with is the other design, in which sealed behaviours move to a table of their own (here without
any index). Sealing writes ranges instead: by count it reads two rows of each partition, with a gap it has to look at
the time of every behaviour.
"""

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests.bench.database import Cost, cluster, cost, database, median, run, say, settle, stream
from tests.partition.streams import moment

ROUNDS = 3
END = moment(4_000_000_000)
RULES = {"count": PartitionRule(20), "gap": PartitionRule(20, gap=timedelta(hours=12))}


def measure(size: int = 2_000_000) -> tuple[dict[str, Any], dict[str, Any]]:
    """`size` events of a hundredth as many users, sealed from scratch by each rule in turns."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    users = min(size // 100, 100_000)
    costs: dict[str, list[Cost]] = {"count": [], "gap": [], "insert_select": []}
    partitions = {}
    with tempfile.TemporaryDirectory(prefix="liber-bench-") as folder, cluster() as server:
        engine = database(server)
        say(f"seal: ingesting {size:,} events of {users:,} users")
        ingest(engine, settings, [stream(size, users).write(Path(folder) / "events.parquet", 0, size)])
        for number in range(ROUNDS):
            for name, rule in RULES.items():
                unseal(engine)
                costs[name].append(cost(engine, lambda engine, rule=rule: seal(engine, rule, END)))
                with engine.connect() as connection:
                    found = connection.exec_driver_sql(
                        "SELECT count(*), sum(n_behaviors) FROM liber.behavior_partition"
                    )
                    partitions[name] = tuple(int(value) for value in found.one())
                if name == "count":
                    costs["insert_select"].append(_move(engine))
            say(f"seal: round {number + 1}: " + ", ".join(f"{n} {c[-1].total:.2f} s" for n, c in costs.items()))
    base = median(costs["insert_select"])
    ratios = {f"{name}_over_insert_select": median(costs[name]) / base for name in RULES}
    figures = {"events": size, "users": users} | {f"{name}_cpu_s": median(found) for name, found in costs.items()}
    figures |= {f"{name}_partitions": n for name, (n, _) in partitions.items()}
    figures |= {f"{name}_behaviors": n for name, (_, n) in partitions.items()}
    return ratios, figures


def unseal(engine: Engine) -> None:
    """Back to streams of which nothing is sealed."""
    with engine.begin() as connection:
        run(
            connection,
            "TRUNCATE liber.behavior_partition",
            "UPDATE liber.user_stream SET first_unsealed_seq = 1, last_partition_no = 0, examined_rule = 0,"
            " due_at = 'infinity'",
        )
    settle(engine)


def _move(engine: Engine) -> Cost:
    """What moving the sealed behaviours costs."""
    with engine.begin() as connection:
        run(connection, "DROP TABLE IF EXISTS moved", "CREATE TABLE moved (LIKE liber.behavior INCLUDING DEFAULTS)")
    settle(engine)

    def move(engine: Engine) -> None:
        with engine.begin() as connection:
            run(
                connection,
                "INSERT INTO moved SELECT b.* FROM liber.behavior AS b"
                " INNER JOIN liber.user_stream AS t ON b.user_key = t.user_key WHERE b.seq < t.first_unsealed_seq",
            )

    return cost(engine, move)
