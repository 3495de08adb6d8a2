"""What the pages read: stored results, by the read-only role, kept for a few seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
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
from liber_tasks.status import stored
from liber_tasks.status.state import State

SECONDS = 15  # a page may be this much older than the database

Row = dict[str, Any]


@st.cache_data(ttl=SECONDS, show_spinner="Reading what is stored")
def rows(name: str, /, **parameters: Any) -> list[Row]:
    """Rows of `sql/queries/dashboard/<name>.sql`.

    Raises:
        LiberError: the database is not set, unreachable, without our schema, or refuses this role; says which.
    """
    with _refusals(), database_errors(), _reader().connect() as connection:
        found = connection.execution_options(postgresql_readonly=True).execute(query(f"dashboard/{name}"), parameters)
        return [dict(row) for row in found.mappings()]


@contextmanager
def _refusals() -> Iterator[None]:
    """A role without rights, in one sentence."""
    try:
        yield
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise LiberError(
            f"The database refused to answer: {reason}. Check that LIBER_READER_DATABASE_URL may read schema liber."
        ) from error


@st.cache_data(ttl=SECONDS, show_spinner="Counting what is done and what waits")
def pipeline_state(anew: bool) -> State:
    """The pipeline's state: counted now where that takes a second or `anew` asks for it, else what was counted last.

    Raises:
        LiberError: as `rows`.
    """
    with _refusals(), database_errors():
        return (stored.refresh if anew else stored.current)(_reader(), settings())


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
