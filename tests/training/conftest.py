"""One torch thread, as in training; one MLflow server and one set of samples that serve every option a session."""

import secrets
from collections.abc import Iterator

import pytest
import torch
from mlflow import MlflowClient

from liber_tasks.config import Settings
from liber_tasks.training import tracking
from tests.services_mlflow import mlflow_url  # noqa: F401
from tests.serving.conftest import world  # noqa: F401


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tracked(settings: Settings, mlflow_url: str) -> Settings:  # noqa: F811
    """Settings with the MLflow server and a model name of this test's own."""
    return settings.model_copy(
        update={"mlflow_tracking_uri": mlflow_url, "model_name": f"liber-{secrets.token_hex(4)}"}
    )


@pytest.fixture
def client(tracked: Settings) -> MlflowClient:
    return tracking.connect(tracked)
