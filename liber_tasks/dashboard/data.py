"""What the pages read: stored results, by the read-only role, kept for a few seconds."""

from typing import Any

import streamlit as st
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from liber_tasks.config import settings
from liber_tasks.dashboard import attention
from liber_tasks.db import database_errors, engine, query
from liber_tasks.errors import LiberError
from liber_tasks.experiment.record import Readout, from_dict
from liber_tasks.explain import Explanation, explain

SECONDS = 15  # a page may be this much older than the database

Row = dict[str, Any]


@st.cache_data(ttl=SECONDS, show_spinner="Reading what is stored")
def rows(name: str, /, **parameters: Any) -> list[Row]:
    """Rows of `sql/queries/dashboard/<name>.sql`.

    Raises:
        LiberError: the database is not set, unreachable, without our schema, or refuses this role; says which.
    """
    try:
        with database_errors(), _reader().connect() as connection:
            found = connection.execution_options(postgresql_readonly=True).execute(
                query(f"dashboard/{name}"), parameters
            )
            return [dict(row) for row in found.mappings()]
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise LiberError(
            f"The database refused to answer: {reason}. Check that LIBER_READER_DATABASE_URL may read schema liber."
        ) from error


def record(name: str, result: Row) -> Readout:
    """A stored readout of the experiment `name`; one of an older method is read as it was.

    Raises:
        LiberError: another version of LIBER has written it, in a form that this one does not know.
    """
    try:
        return from_dict(result)
    except (KeyError, TypeError, AttributeError) as error:
        raise LiberError(
            f"The stored readout of {name} has a form that this LIBER does not know ({error}): run the dashboard of "
            "the version that wrote it, or read the experiment again with `liber readout`."
        ) from error


@st.cache_data(ttl=SECONDS, show_spinner="Comparing")
def explanation(user_id: str, item_id: str) -> Explanation:
    """Which of a user's partitions speak for an item; see `explain.explain`."""
    return explain(_reader(), settings(), user_id, item_id)


@st.cache_data(ttl=60, show_spinner="Asking MLflow for the champion")
def _champion_version() -> str:
    return attention.newest(settings())


@st.cache_resource(max_entries=2, show_spinner="Reading the champion's weights")
def _champion(version: str) -> attention.Champion:
    return attention.load(settings(), version)


def champion() -> attention.Champion:
    """What the registered champion weighs partitions with; a version is read once. Raises as `attention` does."""
    return _champion(_champion_version())


def _reader() -> Engine:
    chosen = settings()
    return engine(chosen.require("database_url" if chosen.reader_database_url is None else "reader_database_url"))
