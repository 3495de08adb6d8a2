"""One local stack whose LLM is the fault server of the tests, and what the learning DAGs are looked at with."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine

from liber_tasks import db
from liber_tasks.config import Settings
from liber_tasks.local import stack as local_stack
from liber_tasks.local.airflow_api import AirflowApi, DagRun
from liber_tasks.local.demo import stack_settings
from liber_tasks.local.environment import SERVICES, Stack
from tests.conftest import free_port
from tests.interest.data import add_user, rows
from tests.interest.faults import GOOD, Reply, Seen, faulty

IN_FLIGHT, SHARDS = 4, 2
IN_FLIGHT_OF_A_TASK = IN_FLIGHT // SHARDS


class Api(AirflowApi):
    """With what only tests look at."""

    def pause(self, dag_id: str, paused: bool = True) -> None:
        self._send("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": paused})

    def slots(self, pool: str) -> int:
        return int(self._send("GET", f"/api/v2/pools/{pool}").json()["slots"])

    def instances(self, run: DagRun, task_id: str) -> list[dict[str, Any]]:
        """Instances of a task, by map index."""
        found = self._send("GET", f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances").json()
        mine = [task for task in found["task_instances"] if task["task_id"] == task_id]
        return sorted(mine, key=lambda task: int(task["map_index"]))

    def xcom(self, run: DagRun, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        path = f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        value = self._send("GET", path, params={"map_index": map_index}).json()["value"]
        return json.loads(value) if isinstance(value, str) else value

    def lines(self, run: DagRun, task_id: str, map_index: int = -1) -> list[dict[str, Any]]:
        """The log of a task's first try, a line an entry, with all that it carries."""
        path = f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task_id}/logs/1"
        lines = self._send("GET", path, params={"full_content": True, "map_index": map_index}).json()["content"]
        return [line for line in lines if isinstance(line, dict)]

    def said(self, run: DagRun, task_id: str) -> str:
        """The log of an unmapped task's first try."""
        return "\n".join(line["event"] for line in self.lines(run, task_id))

    def backfilled(self, dag_id: str, first: str, last: str) -> list[DagRun]:
        """The runs of a backfill from one day to another, once all have finished."""
        asked = {"dag_id": dag_id, "from_date": first, "to_date": last, "max_active_runs": 1, "dag_run_conf": {}}
        number = self._send("POST", "/api/v2/backfills", json=asked).json()["id"]
        while self._send("GET", f"/api/v2/backfills/{number}").json()["completed_at"] is None:
            time.sleep(0.5)
        found = self._send("GET", f"/api/v2/dags/{dag_id}/dagRuns", params={"order_by": "run_after"}).json()
        return [self.run(dag_id, run["dag_run_id"]) for run in found["dag_runs"] if run["run_type"] == "backfill"]

    def keys(self, dag_id: str) -> dict[str, str | None]:
        """Partition key of each run."""
        found = self._send("GET", f"/api/v2/dags/{dag_id}/dagRuns").json()["dag_runs"]
        return {run["dag_run_id"]: run["partition_key"] for run in found}

    def events(self, asset: str) -> list[dict[str, Any]]:
        """Events of an asset, oldest first."""
        found = self._send("GET", "/api/v2/assets/events", params={"order_by": "timestamp", "limit": 100}).json()
        return [event for event in found["asset_events"] if event["name"] == asset]

    def finished(self, dag_id: str, run_id: str) -> DagRun:
        """The run once it has finished."""
        *_, run = self.follow(dag_id, run_id, every=0.5)
        return run


def _good(number: int, prompt: str) -> Reply:
    return GOOD


@dataclass
class Llm:
    """The LLM of the stack.

    Attributes:
        seen: what it was asked.
        reply: (number of the completion, prompt) -> answer; a test may change it.
    """

    seen: Seen = field(default_factory=Seen)
    reply: Callable[[int, str], Reply] = _good

    @contextmanager
    def watched(self, reply: Callable[[int, str], Reply] = _good) -> Iterator[Counter[str]]:
        """The prompts asked inside the block, filled in at its end; `reply` answers them."""
        before, asked = Counter(self.seen.prompts), Counter[str]()
        self.seen.most_in_flight = 0
        self.reply = reply
        try:
            yield asked
        finally:
            self.reply = _good
            asked.update(self.seen.prompts - before)

    def answer(self, number: int, prompt: str) -> Reply:
        return self.reply(number, prompt)


@dataclass(frozen=True)
class World:
    """A running stack with its LLM."""

    stack: Stack
    settings: Settings
    engine: Engine
    api: Api
    llm: Llm
    names: Iterator[int]

    def add_users(self, count: int, partitions: int) -> list[int]:
        """Users nobody has learnt yet, as many of the one shard as of the other; their keys.

        Calls made before are spread over time, as those of a slow server would be: then a backlog is worth all shards.
        """
        rows_changed = (
            "UPDATE liber.llm_call AS l SET finished_at = now() - make_interval(secs => 50 * n.number)"
            " FROM (SELECT call_key, row_number() OVER () AS number FROM liber.llm_call WHERE state = 'done') AS n"
            " WHERE l.call_key = n.call_key RETURNING 1"
        )
        with self.engine.begin() as connection:
            connection.exec_driver_sql(rows_changed)
        keys = [add_user(self.engine, f"u{next(self.names)}", partitions, day=2) for _ in range(count)]
        assert sum(key % SHARDS for key in keys) == count // SHARDS
        return keys

    def run(self, dag_id: str, **conf: Any) -> DagRun:
        """A finished run."""
        return self.api.finished(dag_id, self.api.trigger(dag_id, conf))

    def asking(self) -> list[psutil.Process]:
        """Processes of this stack that are connected to the LLM."""
        port = int(self.llm.seen.url.rsplit(":", 1)[1])
        return [process for process in local_stack.members(self.stack) if _connected(process, port)]

    def texts(self, version: str) -> list[Any]:
        """Every row of a version's texts."""
        return rows(self.engine, "SELECT user_key, partition_no, kind::text, text, created_at FROM liber.interest"
                                 " WHERE knowledge_version = :v ORDER BY 1, 2, 3", v=version)  # fmt: skip

    def vectors(self, version: str) -> list[tuple[int, int]]:
        """(user_key, partition_no) of every vector of a version."""
        found = rows(self.engine, "SELECT user_key, partition_no FROM liber.interest_vector"
                                  " WHERE knowledge_version = :v ORDER BY 1, 2", v=version)  # fmt: skip
        return [tuple(row) for row in found]

    def ledger(self, run: DagRun) -> Mapping[str, int]:
        """State -> calls of a run, all shards."""
        found = rows(self.engine, "SELECT state::text AS state, count(*) AS n FROM liber.llm_call"
                                  " WHERE run_id LIKE :run GROUP BY state",
                     run=f"{run.dag_id}/{run.run_id}#%")  # fmt: skip
        return {row.state: row.n for row in found}


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """A local stack of its own, its LLM in this process."""
    llm = Llm()
    with faulty(llm.answer) as seen:
        llm.seen = seen
        ports = {f"port_{name}": free_port() for name in SERVICES}
        settings = Settings(
            _env_file=None, **ports, llm_url=seen.url, llm_in_flight=IN_FLIGHT, learn_shards=SHARDS, llm_patience=1,
            learn_max_users=1000, encoder_dimension=8, trace_share=1, task_retries=2,
        )  # fmt: skip
        stack = Stack(folder / "var", settings)
        local_stack.up(stack)
        try:
            own = stack_settings(stack)
            api = Api.of(stack)
            api.pause("train_ctr")  # new vectors would start it
            yield World(stack, own, db.connect(own), api, llm, iter(range(1000)))
        finally:
            local_stack.down(stack)


def _connected(process: psutil.Process, port: int) -> bool:
    try:
        return any(each.raddr and each.raddr.port == port for each in process.net_connections("tcp"))
    except psutil.Error:
        return False
