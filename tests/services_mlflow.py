"""A real MLflow server for tests."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.conftest import free_port

START_SECONDS = 300
_URL = pytest.StashKey[str]()


@contextmanager
def mlflow_server(folder: Path, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """URL of an MLflow server with its database and artifacts in `folder`, stopped at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    url, log = f"http://127.0.0.1:{(port := free_port())}", folder / "mlflow.log"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
               "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}",
               "--artifacts-destination", str(folder / "artifacts"), *options]  # fmt: skip
    own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **(environment or {})}  # as the local stack: no job runners
    with log.open("wb") as sink:
        child = subprocess.Popen(command, stdout=sink, stderr=sink, cwd=folder, env={**os.environ, **own},
                                 start_new_session=True)  # fmt: skip
    try:
        _await(url, child, log)
        yield url
    finally:
        child.terminate()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@pytest.fixture(scope="session")
def mlflow_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of the session's one MLflow server; several conftest files may import this fixture."""
    stash = request.config.stash
    if _URL not in stash:
        stack = ExitStack()
        stash[_URL] = stack.enter_context(mlflow_server(tmp_path_factory.mktemp("mlflow")))
        request.config.add_cleanup(stack.close)
    return stash[_URL]


def _await(url: str, child: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"MLflow did not start: {log.read_text()[-2000:]}")
