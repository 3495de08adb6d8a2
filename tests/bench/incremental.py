"""Sealing 1 % new events against sealing everything anew, at histories of 1, 3 and 10 million events.

CPU-seconds of client and server. The limit is 100: a full recompute has a hundred times as many events. What stands
between is what every call costs, and that new events are spread over more users, each of whom closes fewer partitions.
"""

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests.bench.database import Cost, cluster, cost, database, median, say, settle, stream
from tests.bench.seal import END, unseal
from tests.partition.streams import moment

ROUNDS = 3
SIZES = {"1m": 1_000_000, "3m": 3_000_000, "10m": 10_000_000}
BY_GAP = PartitionRule(20, gap=timedelta(hours=12))


def measure(size: int = 10_000_000) -> tuple[dict[str, Any], dict[str, Any]]:
    """Histories up to `size` events of 100,000 users (at most a hundredth of the events)."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    reached = {name: events for name, events in SIZES.items() if events <= size}
    users = min(max(reached.values()) // 100, 100_000)
    events = stream(max(reached.values()) * 11 // 10, users)
    ratios: dict[str, Any] = {}
    figures: dict[str, Any] = {"users": users}
    with tempfile.TemporaryDirectory(prefix="liber-bench-") as folder, cluster() as server:
        engine, loaded = database(server), 0

        def load(until: int) -> None:
            nonlocal loaded
            path = events.write(Path(folder) / f"{loaded}.parquet", loaded, until)
            ingest(engine, settings, [path])
            path.unlink()
            loaded = until

        for name, history in reached.items():
            say(f"incremental: loading up to {history:,} events")
            load(history)
            full: list[Cost] = []
            for _ in range(ROUNDS):
                unseal(engine)
                full.append(cost(engine, lambda engine: seal(engine, PartitionRule(20), END)))
            step: list[Cost] = []
            for _ in range(ROUNDS):
                load(loaded + history // 100)
                settle(engine)
                step.append(cost(engine, lambda engine: seal(engine, PartitionRule(20), END)))
            # with a time rule: the newest event is the watermark, so that few caches are due by being idle
            watermark = moment(int(events.seconds[loaded - 1]))
            seal(engine, BY_GAP, watermark)
            load(loaded + history // 100)
            settle(engine)
            by_gap = cost(engine, lambda engine: seal(engine, BY_GAP, moment(int(events.seconds[loaded - 1]))))
            ratios[f"full_over_incremental_{name}"] = median(full) / median(step)
            figures |= {
                f"full_cpu_s_{name}": median(full),
                f"incremental_cpu_s_{name}": median(step),
                f"incremental_us_per_event_{name}": median(step) / (history // 100) * 1e6,
                f"incremental_gap_cpu_s_{name}": by_gap.total,
            }
            say(f"incremental: {name}: full {median(full):.2f} s, 1 % new {median(step):.3f} s, "
                f"with a gap {by_gap.total:.3f} s")  # fmt: skip
    return ratios, figures
