"""One torch thread, as in training; one MLflow server and one filled database a session."""

import secrets
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
import torch

from liber_tasks import db
from liber_tasks.config import Settings
from liber_tasks.fusion.options import MEAN, OPTIONS
from liber_tasks.local.postgres import Cluster
from liber_tasks.training.load import load
from tests.services_mlflow import mlflow_url  # noqa: F401
from tests.serving.world import HISTORY, PARTITIONS, PAST, World, add_text_vectors
from tests.training.data import fill


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def world(cluster: Cluster) -> Iterator[World]:
    """A database nobody of these tests writes to."""
    name = f"serving_{secrets.token_hex(4)}"
    with closing(psycopg2.connect(cluster.url("postgres"))) as admin:
        admin.autocommit = True
        admin.cursor().execute(f"CREATE DATABASE {name} TEMPLATE liber_template")
        engine = db.engine(cluster.url(name))
        settings = Settings(_env_file=None, database_url=cluster.url(name), model_name=name)  # type: ignore[call-arg]
        fill(engine, plays=True)
        add_text_vectors(engine)
        options = [option for option in OPTIONS if option != MEAN]
        dataset = load(engine, settings, options, max_history=HISTORY, max_past=PAST, max_partitions=PARTITIONS)
        yield World(engine, settings, dataset)
        admin.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def dsn(world: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment of a service that may read the database."""
    monkeypatch.setenv("LIBER_READER_DATABASE_URL", world.url)
    return world.url
