"""One torch thread, as in training, and one MLflow server a session."""

from collections.abc import Iterator

import pytest
import torch

from tests.services_mlflow import mlflow_url  # noqa: F401


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
