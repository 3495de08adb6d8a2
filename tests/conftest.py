"""Real services for the tests: PostgreSQL with pgvector (one cluster a session, one database a test)."""

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import Engine
from xdist.scheduler import LoadFileScheduling

from liber_tasks import db
from liber_tasks.config import Settings
from liber_tasks.local import postgres
from liber_tasks.local.environment import STAGE_ROLES

LIBER_ROLES = ("liber_reader", *(f"liber_{role}" for role in STAGE_ROLES))

# where `import airflow` puts a folder; a stack has its own
os.environ.setdefault("AIRFLOW_HOME", str(Path(tempfile.gettempdir()) / "liber-tests-airflow"))


# Each of these runs an Airflow of its own, or several servers: one after the other, beside all the rest.
STACKS = ("tests/e2e/", "tests/drills/test_stack.py", "tests/safety/test_stack.py", "tests/backup/",
          "tests/docs/test_extend.py", "tests/infra/test_deploy.py")  # fmt: skip


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """A file's tests run in one process, and those of all files with a stack in the same one."""

    def _split_scope(self, nodeid: str) -> str:
        return "stacks" if nodeid.startswith(STACKS) else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    """Of several processes, which runs what."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first."""
    items.sort(key=lambda item: not item.nodeid.startswith(STACKS))


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _own_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("LIBER_", "MLFLOW_"))}


@pytest.fixture(autouse=True)
def _environment_is_left_as_it_was() -> Iterator[None]:
    """A variable that stays would redirect the services of later tests."""
    before = _own_variables()
    yield
    assert _own_variables() == before


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Cluster]:
    """A running PostgreSQL with a migrated template database."""
    folder = tmp_path_factory.mktemp("pg")
    server = postgres.Cluster(folder / "data", free_port(), secrets.token_urlsafe(12), ("fsync=off",))
    server.prepare()
    child = server.spawn()
    try:
        server.ensure(dict.fromkeys(LIBER_ROLES, server.password), {"liber_template": "postgres"})
        db.init_db(server.url("liber_template"))
        yield server
    finally:
        postgres.stop(child)
        shutil.rmtree(folder, ignore_errors=True)


def _admin(cluster: postgres.Cluster, statement: str) -> None:
    with closing(psycopg2.connect(cluster.url("postgres"))) as connection:
        connection.autocommit = True
        connection.cursor().execute(statement)


@pytest.fixture
def database_url(cluster: postgres.Cluster) -> Iterator[str]:
    """URL of a fresh database with the LIBER schema."""
    name = f"test_{secrets.token_hex(6)}"
    _admin(cluster, f"CREATE DATABASE {name} TEMPLATE liber_template")
    yield cluster.url(name)
    _admin(cluster, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def engine(database_url: str) -> Engine:
    """Engine on a fresh database with the LIBER schema."""
    return db.engine(database_url)


@pytest.fixture
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Settings that point at the fresh database and at nothing of the developer's own."""
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    return Settings(database_url=database_url)
