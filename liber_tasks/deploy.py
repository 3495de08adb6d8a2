"""`python -m liber_tasks.deploy`: everything that must exist before the services of a deployment start.

Run it before each start of a new version; a second run changes nothing. Which roles, passwords and databases there are
to be is read off the database URLs that the services themselves are given.
"""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import psycopg2
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from liber_tasks import db
from liber_tasks.config import Settings, settings
from liber_tasks.errors import InputError, LiberError, ServiceUnavailable
from liber_tasks.local.postgres import ensure

# Airflow's and MLflow's own names; the settings' database URLs and the Connections of stages come on top
OTHER_URLS = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "MLFLOW_BACKEND_STORE_URI")
CONNECTIONS = "AIRFLOW_CONN_LIBER_POSTGRES"
LLM_POOL = "llm"


def main() -> int:
    """Create what is missing; exit status 0, 1 (failure) or 2 (a setting is missing or wrong)."""
    try:
        deploy(settings())
    except LiberError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def deploy(chosen: Settings) -> None:
    """Roles, databases, schema and rights; Airflow's tables, first user and pool.

    Raises:
        InputError: a setting is missing, or a URL names no role, password or database.
        ServiceUnavailable: the database cannot be reached.
        LiberError: a step failed; carries its words.
    """
    owner = chosen.require("database_url")
    roles, databases = wanted(database_urls(chosen))
    try:
        ensure(chosen.require("admin_database_url"), roles, databases)
    except psycopg2.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise ServiceUnavailable(f"LIBER_ADMIN_DATABASE_URL cannot be used: {reason}.") from error
    db.init_db(owner)
    if os.environ.get(OTHER_URLS[0]):
        _prepare_airflow(chosen)


def database_urls(chosen: Settings) -> list[str]:
    """URLs that services connect with, the owner's of LIBER's database first."""
    names = [name for name in Settings.model_fields if name.endswith("database_url") and name != "admin_database_url"]
    ours = [getattr(chosen, name) for name in sorted(names, key=lambda name: name != "database_url")]
    stages = [url for name, url in sorted(os.environ.items()) if name.startswith(CONNECTIONS)]
    theirs = stages + [os.environ.get(name, "") for name in OTHER_URLS]
    return [url.get_secret_value() for url in ours if url] + [url for url in theirs if url]


def wanted(urls: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Roles (name -> password) and databases (name -> owner) that URLs speak of; the first to name one owns it.

    Raises:
        InputError: a URL names no role, password or database, or one role has two passwords.
    """
    roles: dict[str, str] = {}
    databases: dict[str, str] = {}
    for url in urls:
        role, password, database = _parts(url)
        if roles.setdefault(role, password) != password:
            raise InputError(f"Two database URLs give the role {role} different passwords: give it one.")
        databases.setdefault(database, role)
    return roles, databases


def _parts(url: str) -> tuple[str, str, str]:
    try:
        parsed: URL = make_url(url)
    except ArgumentError:
        raise InputError("A database URL is none: write postgresql://role:password@host:port/database.") from None
    if not (parsed.username and parsed.password and parsed.database):
        raise InputError(
            f"The database URL {parsed.render_as_string()} lacks a role, password or database: "
            "write postgresql://role:password@host:port/database."
        )
    return parsed.username, str(parsed.password), parsed.database


def _prepare_airflow(chosen: Settings) -> None:
    """Airflow's tables, its first administrator where FAB signs in, and the pool that bounds LLM calls."""
    _airflow("db", "migrate")
    if chosen.airflow_admin_password is not None:
        password = chosen.airflow_admin_password.get_secret_value()
        person = ("--username", "admin", "--role", "Admin", "--firstname", "LIBER", "--lastname", "Administrator",
                  "--email", "admin@localhost")  # fmt: skip
        _airflow("users", "create", *person, asked=f"{password}\n{password}\n")
    _airflow("pools", "set", LLM_POOL, str(chosen.llm_in_flight), "LLM calls in flight")


def _airflow(*command: str, asked: str = "") -> None:
    """Run an Airflow command; `asked` answers its questions, so that no secret is seen in the list of processes."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("airflow")), *command], input=asked, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    if done.returncode:
        last = done.stdout.strip().splitlines()[-1:] or ["no output"]
        raise LiberError(f"`airflow {' '.join(command[:2])}` failed: {last[0]}")


if __name__ == "__main__":
    sys.exit(main())
