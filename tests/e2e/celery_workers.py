"""Celery workers of a local stack, as processes of their own behind a real broker."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from celery import Celery

from liber_tasks.local.environment import Stack
from tests.behavior.brokers import SECRET, RedisServer
from tests.infra.deployment import filled, services

SECONDS = 300  # nothing waited for here takes as long
HEARTBEAT_TIMEOUT, VISIBILITY_TIMEOUT = 60, 15  # seconds


@contextmanager
def broker(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A broker with a password; a stack that is started inside the block hands its tasks to workers there.

    A worker that died is found out by two clocks: Airflow gives up a task that has not sent a sign of life for
    `HEARTBEAT_TIMEOUT` and retries it; the broker hands out again what nobody has confirmed for `VISIBILITY_TIMEOUT`.
    The second is the shorter here, so that messages of running tasks come twice.
    """
    server = RedisServer(folder, SECRET)
    server.start()
    for name, value in {
        "CORE__EXECUTOR": "CeleryExecutor",
        "CELERY__BROKER_URL": server.url,
        "CELERY__WORKER_CONCURRENCY": "1",
        "CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": str(VISIBILITY_TIMEOUT),
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT),
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    }.items():
        patch.setenv(f"AIRFLOW__{name}", value)
    try:
        yield server
    finally:
        server.stop()


# A worker gets no more than that of the compose file: no key that signs tokens or opens Connections.
WITHHELD = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"} | (
    services(filled())["airflow-scheduler"]["environment"].keys()
    - services(filled())["airflow-worker"]["environment"].keys()
)


class Workers:
    """Workers by name; those of one stack take from the same queue."""

    def __init__(self, stack: Stack, server: RedisServer) -> None:
        self._stack = stack
        self._client = Celery(broker=server.url)
        self._running: dict[str, psutil.Process] = {}

    def _environment(self) -> dict[str, str]:
        whole = self._stack.environment()
        results = f"db+{whole['AIRFLOW__DATABASE__SQL_ALCHEMY_CONN']}"
        kept = {name: value for name, value in whole.items() if name not in WITHHELD}
        return kept | {"AIRFLOW__CELERY__RESULT_BACKEND": results}

    def start(self, *names: str) -> None:
        """Start workers and wait until each answers the broker's ping."""
        for name in names:
            home = self._stack.var / name
            home.mkdir(exist_ok=True)
            with (home / "worker.log").open("ab") as log:
                child = subprocess.Popen(
                    [Path(sys.executable).with_name("airflow"), "celery", "worker", "--celery-hostname", name,
                     "--pid", home / "worker.pid", "--skip-serve-logs"],
                    env=self._environment(), cwd=home, stdout=log, stderr=subprocess.STDOUT,
                )  # fmt: skip
            self._running[name] = psutil.Process(child.pid)
        give_up = time.monotonic() + SECONDS
        while not self.answering() >= set(names):
            assert time.monotonic() < give_up, f"not up: {set(names) - self.answering()}"

    def answering(self) -> set[str]:
        """Names of the workers that answer within a second."""
        return {node.partition("@")[2] for answer in self._client.control.ping(timeout=1) for node in answer}

    def said(self, name: str) -> str:
        """A worker's log."""
        return (self._stack.var / name / "worker.log").read_text(errors="replace")

    def of(self, process: psutil.Process) -> str:
        """The worker that a task's process descends from."""
        above = {process.pid, *(each.pid for each in process.parents())}
        return next(name for name, worker in self._running.items() if worker.pid in above)

    def kill(self, name: str) -> None:
        """SIGKILL for a worker and everything it has started, as when its machine goes down."""
        worker = self._running.pop(name)
        family = [worker, *worker.children(recursive=True)]
        for process in family:
            process.suspend()  # nobody lives to report the other's death
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=SECONDS)

    def stop(self) -> None:
        """Kill all that are left."""
        for name in list(self._running):
            self.kill(name)
