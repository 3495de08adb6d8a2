"""What learning costs beside the LLM server: `learn()` against a bare closed loop that sends the very same requests.

Two servers: a fake one that answers after a fixed time (all that differs is the client's), and the embedded one. Both
sides keep the same number in flight and run in turns. What `learn()` sends is recorded once and replayed, so prompts,
parameters and output schemas are equal. Against the embedded server every prompt is asked by both sides, far apart: a
slot of llama.cpp remembers its last prompt only, so neither finds more than the common beginning there.
"""

import asyncio
import contextlib
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import Engine

from liber_tasks.behavior.ingest import ingest
from liber_tasks.behavior.movielens import obtain
from liber_tasks.config import Settings
from liber_tasks.interest.learn import learn
from liber_tasks.interest.llm import LlmClient
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests.bench.database import TICKS, backend_seconds, cluster, database, say
from tests.bench.llm_fakes import fake_llm
from tests.services import llm_server

LATENCY = 0.3  # seconds, of the fake server: forty tokens at more than a hundred a second
HARD_LATENCY = (
    0.1  # faster than any model writes a sentence, and with many calls in flight: what the client itself bears
)
IN_FLIGHT = 8  # the default of `llm_in_flight`
MANY = 32
ROUNDS = 3
EMBEDDED_SHARE = 50  # one call in so many is also put to the embedded server
CALLS_A_USER = 8  # fewer than there are, so that enough users are planned

Request = tuple[str, bytes]  # path and body
_settings_made = itertools.count()


@dataclass(frozen=True)
class Spent:
    """Of one measured run: requests answered, wall seconds, CPU-seconds of this process and of the database server."""

    calls: int
    seconds: float
    cpu: float
    database: float = 0.0

    @property
    def per_second(self) -> float:
        """Throughput."""
        return self.calls / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU of this process a call, milliseconds."""
        return 1000 * self.cpu / self.calls


def measure(size: int = 800) -> tuple[dict[str, float], dict[str, Any]]:
    """Ratios and the figures behind them; `size` calls a run. About ten minutes."""
    with cluster() as server, tempfile.TemporaryDirectory(prefix="liber-bench-") as folder:
        engine = database(server)
        _movielens(engine, Path(folder))
        postmaster = int((server.data / "postmaster.pid").read_text().split()[0])
        figures: dict[str, Any] = {"rounds": ROUNDS}
        ratios = {}
        for latency, in_flight, alone in ((LATENCY, IN_FLIGHT, False), (HARD_LATENCY, IN_FLIGHT, True),
                                          (HARD_LATENCY, MANY, True)):  # fmt: skip
            with fake_llm(latency) as fake:
                before = backend_seconds(fake.pid)
                calls = size * in_flight // IN_FLIGHT
                ours, bare, third = _in_turns(engine, postmaster, fake.url, in_flight, calls, alone=alone)
                figures[f"fake_{1000 * latency:.0f}ms_{in_flight}_in_flight"] = found = _figures(ours, bare, third)
                served = sum(run.calls for run in (*ours, *bare, *third))
                spent = backend_seconds(fake.pid) - before
                found["fake_server_cpu_ms_per_call"] = round(1000 * spent / served, 3)
            if latency == LATENCY:
                ratios["client_over_closed_loop"] = _ratio(ours, bare)
                ratios["cpu_ms_per_call"] = round(_median(run.cpu_ms for run in ours), 2)
        with llm_server(Path(folder)) as url:
            calls = max(16, size // EMBEDDED_SHARE)
            ours, bare, third = _in_turns(engine, postmaster, url, IN_FLIGHT, calls, alone=False)
            ratios["client_over_closed_loop_embedded"] = _ratio(ours, bare)
            figures["embedded"] = _figures(ours, bare, third)
    return ratios, figures


def _in_turns(
    engine: Engine, postmaster: int, url: str, in_flight: int, calls: int, *, alone: bool = True
) -> tuple[list[Spent], list[Spent], list[Spent]]:
    """Runs of `learn()`, of the bare loop and, if asked, of the client without the ledger."""
    say(f"{url}, {in_flight} in flight: recording {calls} requests")
    with recorded() as requests:
        _learn(engine, postmaster, url, in_flight, calls)
    requests = [request for request in requests if b"max_tokens" in request[1]]
    sides: list[Callable[[], Spent]] = [
        lambda: _learn(engine, postmaster, url, in_flight, calls),
        lambda: asyncio.run(_bare(url, in_flight, requests)),
    ]
    if alone:
        sides.append(lambda: asyncio.run(_alone(url, in_flight, requests)))
    runs: list[list[Spent]] = [[] for _ in sides]
    for turn in range(ROUNDS):
        order = list(enumerate(sides))
        for side, work in order if turn % 2 else reversed(order):
            runs[side].append(work())
            say(f"  {('learn', 'bare', 'client alone')[side]}: {runs[side][-1]}")
    ours, bare, *rest = runs
    return ours, bare, rest[0] if rest else []


def _learn(engine: Engine, postmaster: int, url: str, in_flight: int, calls: int) -> Spent:
    """Learn from nothing: another model name makes another knowledge version, with the same prompts."""
    settings = _settings(url, in_flight)
    cpu, database = time.process_time(), _tree_seconds(postmaster)
    with recorded() as sent:  # answers that are no use are asked for again, on both sides
        report = learn(engine, settings, max_users=calls // CALLS_A_USER + 1, max_calls=calls)
    if report.failed or report.quarantined:  # a small model may write nothing of use; the fake one never does
        say(f"  {report.failed} calls failed, {report.quarantined} were set aside")
    return Spent(len(sent), report.seconds, time.process_time() - cpu, _tree_seconds(postmaster) - database)


async def _bare(url: str, in_flight: int, requests: Sequence[Request]) -> Spent:
    """Send the requests, `in_flight` at a time, read the answers, and do nothing else."""
    async with httpx2.AsyncClient(base_url=url, timeout=120) as client:

        async def ask(request: Request) -> None:
            path, body = request
            answer = await client.post(path, content=body, headers={"Content-Type": "application/json"})
            answer.raise_for_status()
            answer.json()

        return await _closed_loop(ask, in_flight, requests)


async def _alone(url: str, in_flight: int, requests: Sequence[Request]) -> Spent:
    """The same prompts through the client, without ledger and database."""
    async with LlmClient(_settings(url, in_flight)) as client:

        async def ask(request: Request) -> None:
            body = json.loads(request[1])
            await client.complete(body["messages"][-1]["content"], body["max_tokens"])

        return await _closed_loop(ask, in_flight, requests)


async def _closed_loop(ask: Callable[[Request], Awaitable[None]], in_flight: int, requests: Sequence[Request]) -> Spent:
    left = iter(requests)

    async def work() -> None:
        for request in left:
            await ask(request)

    begun, cpu = time.monotonic(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())
    return Spent(len(requests), time.monotonic() - begun, time.process_time() - cpu)


@contextlib.contextmanager
def recorded() -> Iterator[list[Request]]:
    """Every chat completion this process asks for meanwhile."""
    kept: list[Request] = []
    send = httpx2.AsyncClient.send

    async def keep(self: httpx2.AsyncClient, request: httpx2.Request, **options: Any) -> httpx2.Response:
        if request.url.path.endswith("/chat/completions"):
            kept.append((request.url.path, request.content))
        return await send(self, request, **options)

    httpx2.AsyncClient.send = keep  # type: ignore[method-assign, assignment]
    try:
        yield kept
    finally:
        httpx2.AsyncClient.send = send  # type: ignore[method-assign]


def _movielens(engine: Engine, folder: Path) -> None:
    """MovieLens-100K, sealed at K = 20."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    data = obtain(settings, folder / "movielens")
    for kind, path in (("items", data.items), ("users", data.users), ("behaviors", data.behaviors)):
        say(f"ingesting {kind}")
        ingest(engine, settings, [path], kind=kind)
    seal(engine, PartitionRule(20), datetime.now(UTC))


def _settings(url: str, in_flight: int) -> Settings:
    return Settings(
        _env_file=None, llm_url=url, llm_in_flight=in_flight, llm_model=f"bench-{next(_settings_made)}",
        learn_order="active", llm_guided=False,
    )  # type: ignore[call-arg]  # fmt: skip


def _tree_seconds(postmaster: int) -> float:
    """CPU-seconds of the database server: its processes that live, and those that ended."""
    while True:
        fields = Path(f"/proc/{postmaster}/stat").read_text().rpartition(")")[2].split()
        living = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        try:
            return sum(map(int, fields[11:15])) / TICKS + sum(backend_seconds(int(pid)) for pid in living)
        except (FileNotFoundError, ProcessLookupError):
            continue  # one ended meanwhile: look again


def _median(values: Any) -> float:
    return statistics.median(list(values))


def _ratio(ours: Sequence[Spent], bare: Sequence[Spent]) -> float:
    return round(_median(run.per_second for run in ours) / _median(run.per_second for run in bare), 3)


def _figures(ours: Sequence[Spent], bare: Sequence[Spent], alone: Sequence[Spent]) -> dict[str, Any]:
    found: dict[str, Any] = {"calls": ours[0].calls, "client_over_closed_loop": _ratio(ours, bare)}
    for name, runs in (("learn", ours), ("closed_loop", bare), ("client_alone", alone)):
        if runs:
            found[f"{name}_calls_per_second"] = round(_median(run.per_second for run in runs), 2)
            found[f"{name}_cpu_ms_per_call"] = round(_median(run.cpu_ms for run in runs), 2)
    found["database_cpu_ms_per_call"] = round(_median(1000 * run.database / run.calls for run in ours), 2)
    return found
