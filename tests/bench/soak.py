"""Hours of small batches through every stage in one process that goes on: does memory or a stage's time grow?

Events arrive at a fixed rate, whatever the stages do; a round takes all that have arrived: ingest, seal, learn (a fake
LLM server over HTTP), encode, then requests to a loaded model. Once a minute the experiment is read and everything is
gauged. Wall times are of a machine that others may use, so each stage's CPU time (this process and the database
server's) is told too: what counts is whether it grows. The tables do: to a past of 30,000 events 30 minutes add 18,000.
"""

import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from sqlalchemy import Engine

from liber_tasks import learning
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings, environment
from liber_tasks.experiment.readout import readout
from liber_tasks.interest.learn import learn
from liber_tasks.partition.stream import seal
from liber_tasks.status.stored import refresh
from tests.bench.client import _tree_seconds
from tests.bench.database import cluster, database, say
from tests.bench.llm_fakes import fake_llm
from tests.bench.soak_world import END, EXPERIMENT, ITEMS, RULE, Events, furnish
from tests.bench.trend import trend
from tests.bench.watch import gauges, own, tree_mb

RATE = 10  # events a second
PACE = 2.0  # seconds from round to round, at least
REQUESTS, CANDIDATES = 10, 100  # a round
MINUTE = 60.0
WARM = 5  # minutes that caches and buffers take to fill: no part of the trends
LATENCY = 0.02  # seconds, of the fake LLM server


@dataclass
class Clock:
    """Milliseconds of each stage, and of each request, since the last minute: of the wall, of the CPUs."""

    postmaster: int
    spent: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def time(self, stage: str, work: Callable[[], Any]) -> Any:
        begun, before = time.perf_counter(), self._cpu()
        done = work()
        took = time.perf_counter() - begun, self._cpu() - before
        self.spent.setdefault(stage, []).append((1000 * took[0], 1000 * took[1]))
        return done

    def minute(self, events: int) -> dict[str, float]:
        """p50 and p95 of the wall time of each stage, mean of its CPU time, and CPU time an event; forgets them."""
        found = {}
        for stage, spent in self.spent.items():
            wall, cpu = zip(*spent, strict=True)
            found[f"{stage}_p50_ms"] = round(statistics.median(wall), 2)
            found[f"{stage}_p95_ms"] = round(float(np.quantile(wall, 0.95)), 2)
            found[f"{stage}_cpu_ms"] = round(statistics.mean(cpu), 2)
            found[f"{stage}_cpu_us_an_event"] = round(1000 * sum(cpu) / events, 1)
        self.spent.clear()
        return found

    def _cpu(self) -> float:
        """Seconds of this process and of the server, its workers that write in the background among them."""
        return time.process_time() + _tree_seconds(self.postmaster)


@dataclass
class Soak:
    """The stages at work on one database."""

    engine: Engine
    settings: Settings
    events: Events
    model: mlflow.pyfunc.PyFuncModel
    folder: Path
    clock: Clock
    done: int
    failed: int = 0  # calls, in all

    def round(self, arrived: int) -> None:
        """All that has arrived, through the stages; then requests."""
        path = self.events.write(self.folder / "batch.parquet", self.done, arrived)
        took = self.clock.time
        took("ingest", lambda: ingest(self.engine, self.settings, [path]))
        took("seal", lambda: seal(self.engine, RULE, END))
        report = took("learn", lambda: learn(self.engine, self.settings))
        self.failed += report.failed + report.quarantined
        took("encode", lambda: learning.encode(self.settings))
        self.done = arrived
        dice = np.random.default_rng(arrived)
        for _ in range(REQUESTS):
            user = f"user-{dice.integers(self.events.users):07d}"
            items = [f"item-{number:06d}" for number in dice.integers(ITEMS, size=CANDIDATES)]
            request = pd.DataFrame({"user_id": user, "item_id": items})
            took("score", lambda request=request: self.model.predict(request))

    def read(self) -> int:
        """The experiment up to the day of the newest event; partitions that lack a text or a vector."""
        newest = self.events.time(self.done - 1)
        self.clock.time("readout", lambda: readout(self.engine, EXPERIMENT, watermark=newest))
        stages = self.clock.time("status", lambda: refresh(self.engine, self.settings).stages)
        return sum(stage.pending for stage in stages if stage.unit == "partitions")


def measure(minutes: float = 30, size: int = 30_000) -> tuple[dict[str, Any], dict[str, Any]]:
    """So many minutes after a past of `size` events is in place; `figures` has a row a minute."""
    torch.set_num_threads(1)
    events = Events.make(size, int(RATE * MINUTE * (minutes + 10)))
    with (tempfile.TemporaryDirectory(prefix="liber-soak-") as folder, cluster() as server,
          fake_llm(LATENCY, distinct=True) as llm):  # fmt: skip
        engine = database(server)
        url = engine.url.render_as_string(hide_password=False)
        settings = Settings(_env_file=None, database_url=url, llm_url=llm.url, llm_guided=False)  # type: ignore[call-arg]
        postmaster = int((server.data / "postmaster.pid").read_text().split()[0])
        with environment({"LIBER_READER_DATABASE_URL": url}):
            model = furnish(engine, settings, events, Path(folder))
            soak = Soak(engine, settings, events, model, Path(folder), Clock(postmaster), size)
            rows = _rounds(soak, minutes, lambda: tree_mb(postmaster))
    return _trends(rows), {"rate": RATE, "users": events.users, "past": size, "warm_minutes": WARM, "minutes": rows}


def _rounds(soak: Soak, minutes: float, server_memory: Callable[[], dict[str, float]]) -> list[dict[str, Any]]:
    """Rounds until the time is over; a row of gauges a minute."""
    rows: list[dict[str, Any]] = []
    begun = time.monotonic()
    wal, queue, rounds = gauges(soak.engine)["wal_bytes"], [], 0
    while (now := time.monotonic() - begun) < minutes * MINUTE:
        arrived = soak.events.past + int(RATE * now) + 1
        queue.append(arrived - soak.done)
        soak.round(arrived)
        rounds += 1
        if time.monotonic() - begun >= (len(rows) + 1) * MINUTE:
            waiting = soak.read()
            gc.collect()  # what is garbage is no growth
            found = gauges(soak.engine)
            row = {
                "hours": round((time.monotonic() - begun) / 3600, 4), "events": soak.done, "rounds": rounds,
                "queue_events": round(statistics.median(queue)), "queue_most": max(queue),
                "queue_partitions": waiting, "failed_calls": soak.failed,
                **{f"client_{name}": value for name, value in own().items()},
                **{f"postgres_{name}": value for name, value in server_memory().items()},
                "wal_mb": round((found.pop("wal_bytes") - wal) / 2**20, 1), **found, **soak.clock.minute(sum(queue)),
            }  # fmt: skip
            wal, queue, rounds = gauges(soak.engine)["wal_bytes"], [], 0
            rows.append(row)
            say(f"soak: minute {len(rows)}: {row}")
        time.sleep(max(0.0, begun + now + PACE - time.monotonic()))
    return rows


def _trends(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of every gauge, warm minutes only."""
    warm = rows[WARM:] if len(rows) >= WARM + 6 else rows
    if len(warm) < 6:
        return {}
    hours = [row["hours"] for row in warm]
    return {name: trend(hours, [row[name] for row in warm]) for name in warm[0] if name != "hours"}
