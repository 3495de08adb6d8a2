"""Database access: engines, SQL files, migrations. No SQL text lives in Python."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path

import psycopg2
from sqlalchemy import Connection, Engine, TextClause, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from liber_tasks.config import ROOT, Settings
from liber_tasks.errors import InputError, LiberError, ServiceUnavailable

SQL = ROOT / "sql"
RIGHTS = ROOT / "infra" / "roles.sql"


@cache
def query(name: str) -> TextClause:
    """The statement in `sql/queries/<name>.sql`; parameters are written `:name`."""
    return text((SQL / "queries" / f"{name}.sql").read_text(encoding="utf-8"))


def engine(url: str) -> Engine:
    """Engine for a PostgreSQL URL. Connections are not kept: tasks are short and processes many.

    Raises:
        InputError: the URL is not a PostgreSQL URL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InputError(
            "LIBER_DATABASE_URL is not a URL: write postgresql://user:password@host:port/database."
        ) from None
    if not parsed.drivername.startswith("postgres"):
        raise InputError(f"LIBER_DATABASE_URL starts with {parsed.drivername!r}: only postgresql:// is supported.")
    return create_engine(
        parsed.set(drivername="postgresql+psycopg2"),
        poolclass=NullPool,
        pool_reset_on_return=None,  # it is closed: a rollback before would only log a traceback when the server is gone
        connect_args={"connect_timeout": 10},
    )


def connect(settings: Settings) -> Engine:
    """Engine on the LIBER database (read-write role)."""
    return engine(settings.require("database_url"))


def clock(engine: Engine) -> datetime:
    """The time by the database: machines that share it may disagree about theirs.

    Raises:
        ServiceUnavailable: the server cannot be reached.
    """
    with database_errors(), engine.connect() as connection:
        now: datetime = connection.execute(query("clock")).scalar_one()
    return now


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn an unreachable or full database, or one without our schema, into one clear sentence."""
    try:
        yield
    except (DBAPIError, psycopg2.Error) as error:  # COPY talks to the driver itself
        cause: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, psycopg2.InterfaceError):
            cause = _lost(error) or cause
        if _gone(cause):
            reason = (str(cause).strip() or "the connection broke").splitlines()[0]
            raise ServiceUnavailable(
                f"PostgreSQL cannot do this: {reason}. "
                "Check LIBER_DATABASE_URL and the server, then run the command again."
            ) from error
        if getattr(cause, "pgcode", None) in ("42P01", "3F000"):
            raise LiberError("The database has no LIBER schema yet: run `liber init-db`.") from error
        if getattr(cause, "pgcode", None) == "42883":
            raise LiberError("The database lacks a function of this release: run `liber init-db`.") from error
        raise


def _gone(error: BaseException | None) -> bool:
    """Whether the server is to blame: an error of a class that says so, or one of which it could not say anything."""
    code = getattr(error, "pgcode", "")
    silent = type(error) is psycopg2.DatabaseError and code is None  # it stopped within a COPY
    internal = (code or "").startswith("XX")  # a file that cannot grow for a quota, a damaged page
    return silent or internal or isinstance(error, psycopg2.OperationalError)


def _lost(error: BaseException) -> BaseException | None:
    """Why a rollback found no connection: SQLAlchemy does not see one that breaks under COPY, and rolls back."""
    at: BaseException | None = error
    while at is not None and not _gone(at):
        at = at.__cause__ or at.__context__
    return at


def init_db(url: str) -> list[str]:
    """Apply pending migrations, then re-create functions, views and rights (idempotent). Several at once wait.

    Returns:
        Names of the migrations applied now; empty when the schema was up to date.

    Raises:
        ServiceUnavailable: the server cannot be reached.
        LiberError: a migration failed, and the database is as it was before it; or the schema is of a newer release.
    """
    applied = migrate(url)
    with database_errors(), engine(url).begin() as connection:
        # of two at once the second would find the first one's functions half-way
        connection.execute(query("schema/lock"))
        for file in sorted((SQL / "functions").glob("*.sql")):
            connection.connection.cursor().execute(file.read_text(encoding="utf-8"))
        grant(connection)
    return applied


def grant(connection: Connection) -> None:
    """Give the roles of `infra/roles.sql` their rights on tables and views that were made anew."""
    connection.connection.cursor().execute(RIGHTS.read_text(encoding="utf-8"))


def migrate(url: str) -> list[str]:
    """Apply pending migrations, without functions and views; returns and raises like `init_db`."""
    dbmate = Path(sys.executable).with_name("dbmate")
    # dbmate keeps its table in the first schema of the path; a role named like our schema would change it midway
    plain = make_url(url).set(drivername="postgres").update_query_dict({"search_path": "public"})
    with database_errors(), engine(url).connect() as connection:  # a clear message before dbmate's own
        _refuse_newer(connection)
    done = subprocess.run(
        [dbmate, "--migrations-dir", SQL / "migrations", "--no-dump-schema", "--migration-lock", "migrate"],
        env={**os.environ, "DATABASE_URL": plain.render_as_string(hide_password=False)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        if "lock timeout" in said:
            raise LiberError(
                "A migration was rolled back, because a transaction of another program held a table for too long: "
                "the database is as it was before it. Run `liber init-db` again when loads and training pause."
            )
        raise LiberError(
            f"A migration failed and was rolled back: {said}. The database is as it was before it: when the cause is "
            "gone, run `liber init-db` again; until then use the release before."
        )
    return re.findall(r"Applied: (\S+)", done.stdout)


def _refuse_newer(connection: Connection) -> None:
    """Raise LiberError if a migration was applied that this release does not have."""
    if not connection.execute(query("schema/has_migrations")).scalar_one():
        return
    ours = {file.name.partition("_")[0] for file in (SQL / "migrations").glob("*.sql")}
    newer = sorted(set(connection.execute(query("schema/migrations")).scalars()) - ours)
    if newer:
        raise LiberError(
            f"The database is of a newer release than this one, which lacks its migration {newer[-1]}: install that "
            "release, or restore a backup from before the upgrade."
        )
