"""A stack at work: nobody but this machine reaches it, nobody without a password, and no secret is written anywhere."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import httpx
import psycopg2
import pytest

from liber_tasks.config import ROOT, Settings
from liber_tasks.local.environment import Stack
from tests.conftest import free_port
from tests.e2e.learning import World, world
from tests.interest.faults import Reply
from tests.safety.watching import Shown, watched
from tests.services_stack import dump

pytestmark = pytest.mark.timeout(1200)
GIVEN = {
    "LIBER_LLM_TOKEN": "secret-of-the-llm-server",
    "LIBER_ALERT_URL": "http://127.0.0.1:1/secret-of-the-webhook",
    "MLFLOW_TRACKING_USERNAME": "somebody",
    "MLFLOW_TRACKING_PASSWORD": "secret-of-mlflow",
}
PRIVATE = ("secrets.json", "local.env", "airflow/passwords.json")  # where the stack keeps them
MARK = "secret-in-an-address"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in GIVEN.items():
            patch.setenv(name, value)
        with world(tmp_path_factory.mktemp("stack")) as made:
            yield made


@pytest.fixture(scope="module")
def shown(there: World) -> Shown:
    """Texts and vectors, a training, a run whose server refuses, one with bad input: watched all the time."""
    with watched(there.stack) as seen:
        there.add_users(4, 3)
        assert there.run("learn_interests").state == "success"
        with there.llm.watched(lambda *_: Reply(401, f"no entry for {GIVEN['LIBER_LLM_TOKEN']}")):
            there.add_users(2, 1)
            assert there.run("learn_interests").state == "failed"
        assert there.run("ingest_behaviors", behaviors=["/nowhere.jsonl"]).state == "failed"
        there.api.pause("train_ctr", False)
        there.run("train_ctr", seeds=1)
    return seen


def secrets_of(stack: Stack) -> list[str]:
    given = [value for name, value in GIVEN.items() if not name.endswith("_USERNAME")]  # a name is none
    return [*given, *stack.secrets.values()]


def found(secrets: Sequence[str], text: str) -> list[str]:
    return [secret for secret in secrets if secret in text]


def test_the_llm_server_was_asked_with_the_token(there: World, shown: Shown) -> None:
    assert f"Bearer {GIVEN['LIBER_LLM_TOKEN']}" in {headers["authorization"] for headers in there.llm.seen.headers}


def test_every_socket_that_listens_is_this_machines_own(there: World, shown: Shown) -> None:
    ports = {port for _, _, port in shown.listening}
    assert {port for name, port in there.stack.ports.items()} <= ports
    assert shown.open_to_others() == set()


def test_no_secret_is_in_a_command_line_or_title(there: World, shown: Shown) -> None:
    assert any("postgres" in command for command in shown.commands)
    assert any("mlflow" in command for command in shown.commands)
    assert found(secrets_of(there.stack), "\n".join(shown.commands)) == []


def test_no_secret_is_in_a_file_but_those_that_only_the_owner_reads(there: World, shown: Shown, tmp_path: Path) -> None:
    var, patterns = there.stack.var, tmp_path / "patterns"
    patterns.write_text("\n".join(secrets_of(there.stack)))
    for name in PRIVATE:
        assert (var / name).stat().st_mode & 0o077 == 0, name
    listed = subprocess.run(["grep", "-rlaF", "-f", patterns, var], capture_output=True, text=True, check=False)
    assert set(listed.stdout.splitlines()) == {str(var / name) for name in PRIVATE}


@pytest.mark.parametrize("database", ["airflow", "liber", "mlflow"])
def test_no_secret_is_in_a_database(there: World, shown: Shown, database: str) -> None:
    """XCom, logs and rendered fields of Airflow, runs and artifacts of MLflow, calls and texts of LIBER."""
    assert found(secrets_of(there.stack), dump(there.stack, database)) == []


def test_a_stage_works_while_the_owner_cannot_log_in(there: World, shown: Shown) -> None:
    there.add_users(2, 2)
    url = there.stack.cluster.url("postgres", password=there.stack.secrets["postgres"])
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("ALTER ROLE liber NOLOGIN")
        try:
            run = there.run("learn_interests")
        finally:
            cursor.execute("ALTER ROLE liber LOGIN")
    assert run.state == "success", there.api.failure(run)


def test_no_service_lets_anybody_in_without_a_password(there: World) -> None:
    url, port = there.stack.urls["airflow"], there.stack.ports["postgres"]
    for password in ("admin", "", "airflow"):
        answer = httpx.post(f"{url}/auth/token", json={"username": "admin", "password": password}, trust_env=False)
        assert answer.is_client_error
    assert httpx.get(f"{url}/api/v2/dags", trust_env=False).status_code == 401
    for role in ("postgres", "liber", "liber_reader", "airflow", "mlflow"):
        for password in ("", role, "postgres"):
            with pytest.raises(psycopg2.OperationalError):
                psycopg2.connect(host="127.0.0.1", port=port, user=role, password=password, dbname="liber")


def liber(*arguments: str, **environment: str) -> str:
    """All that a failing command says."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LIBER_", "MLFLOW_"))}
    given = {**clean, "PYTHONPATH": str(ROOT), "LIBER_VAR": "/nonexistent", **environment}
    command = [Path(sys.executable).with_name("liber"), *arguments]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode in (1, 2), done.stderr
    assert done.stderr.strip()
    return done.stdout + done.stderr


def test_a_failing_command_does_not_say_what_it_logged_in_with(there: World) -> None:
    there_, nowhere = there.stack.ports["postgres"], free_port()
    addresses = {
        "nobody listens": f"postgresql://liber:{MARK}@127.0.0.1:{nowhere}/liber",
        "wrong password": f"postgresql://liber:{MARK}@127.0.0.1:{there_}/liber",
        "no such database": f"postgresql://liber:{MARK}@127.0.0.1:{there_}/none",
        "no URL": f"liber:{MARK}@127.0.0.1",
        "another driver": f"mysql://liber:{MARK}@127.0.0.1/liber",
        "a bad port": f"postgresql://liber:{MARK}@127.0.0.1:port/liber",
    }
    for what, address in addresses.items():
        assert MARK not in liber("status", "--json", LIBER_DATABASE_URL=address), what
    assert MARK not in liber("init-db", LIBER_DATABASE_URL=addresses["wrong password"])
    reader = there.stack.database_url("liber_reader", "liber")
    assert there.stack.secrets["liber_reader"] not in liber("erase", "u0", LIBER_DATABASE_URL=reader)
    own = there.settings.require("database_url")
    there.add_users(2, 1)  # so that there is something to ask
    for name in ("MLFLOW_TRACKING_URI", "LIBER_LLM_URL"):
        address = {name: f"http://somebody:{MARK}@127.0.0.1:{nowhere}"}
        command = "learn" if name == "LIBER_LLM_URL" else "promote"
        assert MARK not in liber(command, "--json", LIBER_DATABASE_URL=own, **address)


def test_what_the_machine_is_told_does_not_open_the_stack(there: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__HOST", "0.0.0.0")
    assert there.stack.environment()["AIRFLOW__API__HOST"] == "127.0.0.1"


def test_two_stacks_have_no_secret_in_common(tmp_path: Path) -> None:
    one, other = (Stack(tmp_path / name, Settings(_env_file=None)).secrets for name in ("one", "other"))
    assert not set(one.values()) & set(other.values())
    assert min(len(value) for value in one.values()) >= 24
    kept = Stack(tmp_path / "one", Settings(_env_file=None)).secrets
    assert kept == one


def test_a_stack_of_an_earlier_release_gets_what_is_new_and_keeps_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text(json.dumps({"postgres": "kept", "liber": "also"}))
    secrets = Stack(tmp_path, Settings(_env_file=None)).secrets
    assert (secrets["postgres"], secrets["liber"]) == ("kept", "also")
    assert secrets["liber_trainer"]
    assert json.loads((tmp_path / "secrets.json").read_text()) == secrets
