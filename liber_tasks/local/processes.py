"""The processes of the local stack: each waits for what it needs, then becomes its program.

`infra/Procfile` lists them; a process manager starts them all at once. While the stack starts it stops them all when
one ends; later `infra/keep.sh` starts the one again.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import psycopg2

from liber_tasks import db
from liber_tasks.config import ROOT
from liber_tasks.errors import ServiceUnavailable
from liber_tasks.local import postgres
from liber_tasks.local.environment import DATABASES, LOOPBACK, ROLES, Stack

WAIT_SECONDS = 180
BIN = Path(sys.executable).parent


def run(name: str, stack: Stack) -> int:
    """Become the process `name` of `stack`.

    Raises:
        ServiceUnavailable: something it needs did not come up in time.
    """
    return PROCESSES[name](stack)


def _postgres(stack: Stack) -> int:
    return postgres.serve(stack.cluster, {role: stack.secrets[role] for role in ROLES}, DATABASES)


def _llm(service: str) -> Callable[[Stack], int]:
    """Two servers share the cores: threads of one wait for each other at every layer of so small a model."""

    def become(stack: Stack) -> int:
        threads = max(1, (os.cpu_count() or 1) // 2)
        model = ["--gguf", str(stack.settings.local_gguf)] if stack.settings.local_gguf else []
        options = ["--port", str(stack.ports[service]), "--threads", str(threads), *model]
        return _become([sys.executable, "-m", "liber_tasks.local.llm_server", *options])

    return become


def _mlflow(stack: Stack) -> int:
    store = stack.database_url("mlflow")
    _await_database(store)
    artifacts = stack.var / "mlflow"
    return _become([
        str(BIN / "mlflow"), "server", "--host", LOOPBACK, "--port", str(stack.ports["mlflow"]), "--workers", "1",
        "--backend-store-uri", store.replace("postgresql://", "postgresql+psycopg2://"),
        "--artifacts-destination", str(artifacts), "--serve-artifacts",
    ])  # fmt: skip


def _airflow_api(stack: Stack) -> int:
    _await_database(stack.database_url("airflow"))
    if not _migrated(stack).exists():
        subprocess.run([BIN / "airflow", "db", "migrate"], check=True)
        _migrated(stack).touch()
    return _become([str(BIN / "airflow"), "api-server"])


def _airflow(*command: str) -> Callable[[Stack], int]:
    def become(stack: Stack) -> int:
        _await(lambda: _migrated(stack).exists(), "Airflow's metadata database")
        _await_database(stack.database_url("airflow"))
        return _become([str(BIN / "airflow"), *command])

    return become


def _dashboard(stack: Stack) -> int:
    return _become([sys.executable, "-m", "liber_tasks.dashboard", "--port", str(stack.ports["dashboard"])])


PROCESSES: dict[str, Callable[[Stack], int]] = {
    "postgres": _postgres,
    "llm": _llm("llm"),
    "llm-2": _llm("llm_2"),
    "mlflow": _mlflow,
    "airflow-api": _airflow_api,
    "airflow-scheduler": _airflow("scheduler", "--skip-serve-logs"),
    "airflow-dag-processor": _airflow("dag-processor"),
    "airflow-triggerer": _airflow("triggerer", "--skip-serve-logs"),
    "dashboard": _dashboard,
}


def init_liber(stack: Stack) -> None:
    """Bring the LIBER schema and its roles' rights up to date."""
    url = stack.liber_environment()["LIBER_DATABASE_URL"]
    db.init_db(url)
    if url == stack.database_url("liber"):
        with db.engine(url).begin() as connection:
            connection.connection.cursor().execute((ROOT / "infra" / "roles.sql").read_text(encoding="utf-8"))


def _migrated(stack: Stack) -> Path:
    return stack.var / "airflow" / f"migrated-{version('apache-airflow-core')}"


def _become(command: list[str]) -> int:
    os.chdir(ROOT)
    os.execv(command[0], command)


def _await_database(url: str) -> None:
    def answers() -> bool:
        try:
            psycopg2.connect(url, connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    _await(answers, "PostgreSQL")


def _await(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            raise ServiceUnavailable(f"{what} was not ready after {WAIT_SECONDS} seconds.")
        time.sleep(0.2)
