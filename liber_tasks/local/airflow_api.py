"""Airflow's REST API, as far as the demo and the stack need it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import httpx

from liber_tasks.errors import LiberError, ServiceUnavailable
from liber_tasks.local.environment import Stack

FINISHED = ("success", "failed")
WAITING = "awaiting_input"  # state of a task that a person has to answer
SETTLED = 2.0  # seconds until the scheduler has seen the end of the process that asked


@dataclass(frozen=True)
class DagRun:
    """One run and the states of its tasks (task id -> state, in start order).

    A mapped task has one state: the first that is not a success, if there is one.
    """

    dag_id: str
    run_id: str
    state: str
    tasks: dict[str, str]


class AirflowApi:
    """Client of one Airflow API server (REST API v2)."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url, self._user, self._password = url, user, password
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)

    @classmethod
    def of(cls, stack: Stack) -> Self:
        """Client of the local stack's Airflow."""
        return cls(stack.urls["airflow"], "admin", stack.secrets["airflow_admin"])

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        """Create the pool, or widen one with fewer slots: Airflow never starts a task that takes more than it has."""
        body = {"name": name, "slots": slots, "description": description, "include_deferred": True}
        found = self._send("GET", f"/api/v2/pools/{name}", allow=(404,))
        if found.status_code == 404:
            self._send("POST", "/api/v2/pools", json=body, allow=(409,))
        elif 0 <= found.json()["slots"] < slots:  # -1: no bound
            self.resize_pool(name, slots)

    def resize_pool(self, name: str, slots: int) -> None:
        """Give the pool so many slots."""
        self._send("PATCH", f"/api/v2/pools/{name}", params={"update_mask": "slots"},
                   json={"pool": name, "slots": slots, "include_deferred": True})  # fmt: skip

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Start a run; its id.

        Raises:
            LiberError: Airflow does not know the DAG (yet) or refuses `conf`; carries its words.
        """
        deadline = time.monotonic() + 60
        while True:  # a new DAG file takes a moment to be parsed
            answer = self._send("POST", f"/api/v2/dags/{dag_id}/dagRuns",
                                json={"logical_date": None, "conf": conf}, allow=(404,))  # fmt: skip
            if answer.status_code != 404:
                return str(answer.json()["dag_run_id"])
            if time.monotonic() > deadline:
                raise LiberError(f"Airflow does not know the DAG {dag_id}: look at its import errors in the web UI.")
            time.sleep(1)

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """State of one run."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"
        tasks = self._send("GET", f"{path}/taskInstances").json()["task_instances"]
        tasks.sort(key=lambda task: task["start_date"] or "9")
        state = self._send("GET", path).json()["state"]
        states: dict[str, str] = {}
        for task in tasks:
            if states.get(task["task_id"], "success") == "success":
                states[task["task_id"]] = task["state"] or "waiting"
        return DagRun(dag_id, run_id, state, states)

    def runs_since(self, dag_id: str, moment: datetime) -> list[str]:
        """Ids of the runs created at or after `moment`, oldest first."""
        query = {"run_after_gte": moment.astimezone(UTC).isoformat(), "order_by": "run_after"}
        return [
            run["dag_run_id"]
            for run in self._send("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=query).json()["dag_runs"]
        ]

    def running(self, dag_id: str) -> list[str]:
        """Ids of the runs that have begun and not ended."""
        found = self._send("GET", f"/api/v2/dags/{dag_id}/dagRuns", params={"state": "running"})
        return [run["dag_run_id"] for run in found.json()["dag_runs"]]

    def answer(self, dag_id: str, run_id: str, task: str, option: str) -> None:
        """Answer a task that waits for a person; one that does not wait (any more) stays as it is.

        Not at once, as no person would: an answer that comes before Airflow's scheduler has seen the asking process
        end starts the task anew, and that end is then taken for a failure of the new try.
        """
        time.sleep(SETTLED)
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task}/-1/hitlDetails"
        self._send("PATCH", path, json={"chosen_options": [option]}, allow=(404, 409))

    def follow(self, dag_id: str, run_id: str, every: float = 1.0) -> Iterator[DagRun]:
        """The run's state, again and again, until it has finished."""
        while True:
            run = self.run(dag_id, run_id)
            yield run
            if run.state in FINISHED:
                return
            time.sleep(every)

    def failure(self, run: DagRun) -> str:
        """Why a run failed: its first failed task and the error in the log of that task's last try."""
        path = f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"
        tasks = self._send("GET", path).json()["task_instances"]
        failed = next((task for task in tasks if task["state"] == "failed"), None)
        if failed is None:
            return "no task failed"
        name, which = failed["task_id"], {"map_index": failed["map_index"]}
        answer = self._send("GET", f"{path}/{name}/logs/{failed['try_number']}", params={"full_content": True} | which)
        log = answer.json()["content"]
        errors = [line["error_detail"] for line in log if isinstance(line, dict) and line.get("error_detail")]
        reasons = [raised["exc_value"] for raised, *_ in errors]  # its causes follow it
        return f"task {name}: {reasons[-1] if reasons else 'see its log in the web UI'}"

    def _send(self, method: str, path: str, allow: tuple[int, ...] = (), **options: Any) -> httpx.Response:
        for attempt in range(3):
            try:
                if "authorization" not in self._http.headers:
                    token = self._http.post("/auth/token", json={"username": self._user, "password": self._password})
                    token.raise_for_status()
                    self._http.headers["authorization"] = f"Bearer {token.json()['access_token']}"
                answer = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                if method == "POST" or attempt == 2:
                    raise ServiceUnavailable(
                        f"Airflow at {self._url} does not answer ({error}): see `make up` and its log."
                    ) from error
                time.sleep(1)
                continue
            if answer.is_success or answer.status_code in allow:
                return answer
            raise LiberError(f"Airflow refused {method} {path}: {answer.status_code} {answer.text[:500]}")
        raise AssertionError("unreachable")
