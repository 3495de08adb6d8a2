"""Metrics that an experiment defines itself: one SELECT that gives user_id, day and value, checked before it is used.

The SELECT stands inside a larger statement, with which it is sent as one prepared statement: what is not a single
SELECT is refused by PostgreSQL itself. The check runs in a read-only transaction, as the role `liber_reader` where the
session may act as it, so that a metric that writes fails.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, TextClause, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.experiment.plan import Metric

TIMEOUT_SECONDS = 30
SAMPLE_USERS = 1_000
COLUMNS = {
    "user_id": ("text",),
    "day": ("date",),
    "value": ("numeric", "float8", "float4", "int8", "int4", "int2"),
}
_CANCELLED, _NO_CONNECTION = "57014", ("08", "57P")


def check_metrics(engine: Engine, metrics: Sequence[Metric]) -> None:
    """See that the SQL of each metric that has one does; those built in need no look.

    Args:
        engine: LIBER database; a role that reads is enough.
        metrics: of a definition.

    Raises:
        InputError: a metric's SQL fails, is no single SELECT, writes, takes too long, or gives other columns, missing
            values, values that are no number, or several rows for a user and day; names the metric.
        ServiceUnavailable: the database cannot be reached.
    """
    for metric in metrics:
        if metric.sql is not None:
            with database_errors(), engine.connect():
                pass  # an unreachable server is no fault of the metric
            with _reading(engine) as connection, _blamed(metric):
                _check(connection, metric)


def rows_for(metric: Metric) -> str:
    """SELECT of a custom metric's values, to stand inside another statement that goes through `sqlalchemy.text`.

    Its columns are user_id (text), day (date, UTC) and value (double precision); its parameters from_day and until_day,
    the first day and the first that is not read.
    """
    return around(metric, "metric_rows").text


def _check(connection: Connection, metric: Metric) -> None:
    result = connection.execute(around(metric, "metric_columns"), {"wanted": False})
    found = {column[0]: _type(column[1]) for column in result.cursor.description or ()}
    if len(found) != len(result.keys()) or set(found) != set(COLUMNS):
        raise InputError(
            f"Metric {metric.name!r}: its SELECT gives the columns {', '.join(result.keys())}, but must give exactly "
            "user_id, day and value; name its columns so with AS."
        )
    for column, kinds in COLUMNS.items():
        if found[column] not in kinds:
            raise InputError(
                f"Metric {metric.name!r}: its column {column} is {found[column]}, not {kinds[0]}; cast it, as "
                f"{column}::{kinds[0]}."
            )
    users = connection.execute(query("experiment/sample_users"), {"users": SAMPLE_USERS}).scalars().all()
    wrong = connection.execute(around(metric, "metric_sample"), {"users": users}).one()
    if wrong.missing:
        raise InputError(
            f"Metric {metric.name!r}: {wrong.missing} rows have a null; leave them out, or use coalesce()."
        )
    if wrong.not_numbers:
        raise InputError(
            f"Metric {metric.name!r}: {wrong.not_numbers} values are NaN or infinite; leave them out or correct them."
        )
    if wrong.repeated:
        raise InputError(
            f"Metric {metric.name!r}: {wrong.repeated} rows repeat a user and day; there may be one row each, GROUP BY "
            "user_id, day."
        )


def around(metric: Metric, name: str) -> TextClause:
    """One of our statements with the metric's SELECT in it. Its colons are its own, not parameters."""
    own = str(metric.sql).replace(":", "\\:")
    return text(query(f"experiment/{name}").text.replace("FROM metric_sql", f"FROM (\n{own}\n)"))


def _type(oid: Any) -> str:
    from psycopg import adapters

    kind = adapters.types.get(oid)
    return kind.name if kind else "of another type"


@contextmanager
def _reading(engine: Engine) -> Iterator[Connection]:
    """A read-only transaction on psycopg 3, which sends a statement with parameters as a prepared one."""
    shared = create_engine(engine.url.set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with shared.connect().execution_options(postgresql_readonly=True) as connection:
        connection.execute(query("experiment/statement_timeout"), {"milliseconds": TIMEOUT_SECONDS * 1_000})
        if connection.execute(query("experiment/reader_role")).scalar_one():
            connection.execute(query("experiment/act_as_reader"))
        yield connection


@contextmanager
def _blamed(metric: Metric) -> Iterator[None]:
    """Turn what PostgreSQL says about a metric's SQL into one sentence that names it."""
    try:
        yield
    except DBAPIError as error:
        cause: Any = error.orig
        state = getattr(cause, "sqlstate", None) or ""
        if not state or state.startswith(_NO_CONNECTION):
            raise
        if state == _CANCELLED:
            said = (
                f"its SELECT took more than {TIMEOUT_SECONDS} s for {SAMPLE_USERS:,} users; make it cheaper, by an "
                "index or by grouping by user_id and day themselves"
            )
        else:
            said = (
                f"its SQL fails: {str(cause).strip().splitlines()[0]}; write one SELECT that gives user_id, day, value"
            )
        raise InputError(f"Metric {metric.name!r}: {said}.") from None
