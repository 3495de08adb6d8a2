"""An MLflow server as production has it, its runs in PostgreSQL and its artifacts on a disk, and what happens to it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.conftest import free_port
from tests.services import answers

SECONDS = 900


class MlflowServer:
    """One address, behind which processes come and go."""

    def __init__(self, database_url: str, artifacts: Path) -> None:
        port = free_port()
        self.url, self.artifacts = f"http://127.0.0.1:{port}", artifacts
        store = database_url.replace("postgresql://", "postgresql+psycopg2://")
        self._command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
                         "--workers", "1", "--backend-store-uri", store,
                         "--artifacts-destination", str(artifacts)]  # fmt: skip
        self.start()

    def start(self, wait: bool = True) -> None:
        self._child = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.artifacts.parent,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )  # fmt: skip
        if wait:
            try:
                self._await()
            except BaseException:
                self.kill()
                raise

    def _await(self) -> None:
        deadline = time.monotonic() + SECONDS
        while not answers(f"{self.url}/api/2.0/mlflow/experiments/get?experiment_id=0"):
            assert self._child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def kill(self) -> None:
        """SIGKILL to all of its processes."""
        if self._child.poll() is not None:
            return
        for process in self._processes():
            process.kill()
        self._child.wait()

    def largest_file(self, size: int) -> None:
        """Let no file of its disk grow beyond this many bytes; `psutil.RLIM_INFINITY` gives the space back."""
        for process in self._processes():
            process.rlimit(psutil.RLIMIT_FSIZE, (size, psutil.RLIM_INFINITY))

    def _processes(self) -> list[psutil.Process]:
        parent = psutil.Process(self._child.pid)
        return [parent, *parent.children(recursive=True)]
