"""The embedded LLM server, started once; databases with a catalogue or users."""

import secrets
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
from sqlalchemy import Engine

from liber_tasks import db
from tests.interest.data import add_user
from tests.interest.elsewhere_files import add_items
from tests.services import llm_server


@pytest.fixture(scope="session")
def llm_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a running embedded LLM server."""
    with llm_server(tmp_path_factory.mktemp("llm")) as url:
        yield url


@pytest.fixture
def other(cluster) -> Iterator[Engine]:
    """A second fresh database."""
    name = f"test_{secrets.token_hex(6)}"
    with closing(psycopg2.connect(cluster.url("postgres"))) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name} TEMPLATE liber_template")
        yield db.engine(cluster.url(name))
        connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def items(engine: Engine) -> Engine:
    """A catalogue of three."""
    add_items(engine, "a", "b", "ü c")
    return engine


@pytest.fixture
def users(engine: Engine) -> Engine:
    """User u has three partitions, v one."""
    add_user(engine, "u", 3)
    add_user(engine, "v", 1)
    return engine
