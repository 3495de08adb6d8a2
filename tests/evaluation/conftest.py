"""One torch thread, as in training; samples and an MLflow server a session, in it an experiment of each test's own."""

import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import torch

from liber_tasks import db
from liber_tasks.config import Settings
from liber_tasks.evaluation import store
from liber_tasks.fusion.options import AFFINITY, STATISTICS
from liber_tasks.local.postgres import Cluster
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.load import load
from tests.encoder.conftest import tiny_bert  # noqa: F401
from tests.services_mlflow import mlflow_url  # noqa: F401
from tests.training.data import fill


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def dataset(cluster: Cluster) -> Dataset:
    """Samples of `tests.training.data` with vectors and dense columns."""
    name = f"evaluation_{secrets.token_hex(4)}"
    with closing(psycopg2.connect(cluster.url("postgres"))) as admin:
        admin.autocommit = True
        admin.cursor().execute(f"CREATE DATABASE {name} TEMPLATE liber_template")
        engine = db.engine(cluster.url(name))
        fill(engine)
        found = load(engine, Settings(_env_file=None), (AFFINITY, STATISTICS))  # type: ignore[call-arg]
        admin.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
    return found


@pytest.fixture
def tracked(
    settings: Settings,
    mlflow_url: str,  # noqa: F811
    tiny_bert: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """Settings for the data of `tests.training.data`, with nothing kept in MLflow yet."""
    monkeypatch.setattr(store, "EXPERIMENT", f"liber-evaluate-{secrets.token_hex(4)}")
    changes = {"mlflow_tracking_uri": mlflow_url, "knowledge_version": "k1", "encoder": str(tiny_bert)}
    return settings.model_copy(update=changes)
