"""Promise: whatever happens to MLflow or to the trainer, there is one registered model in the end, and it is whole."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import psutil
import pytest
from mlflow import MlflowClient
from sqlalchemy import Engine

from liber_tasks.config import ROOT, Settings
from liber_tasks.errors import ServiceUnavailable
from liber_tasks.local.postgres import Cluster
from liber_tasks.training import registry, tracking
from liber_tasks.training.report import TrainReport
from liber_tasks.training.train import train
from tests.drills.mlflow_server import MlflowServer
from tests.training.data import SMALL, fill

pytestmark = pytest.mark.timeout(3600)
ROOM = 8192  # bytes a file may have on the full disk: the model's description fits, its weights do not


@pytest.fixture(scope="module")
def server(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    cluster.ensure({}, {"drills_mlflow": "postgres"})
    server = MlflowServer(cluster.url("drills_mlflow"), tmp_path_factory.mktemp("mlflow") / "artifacts")
    yield server
    server.kill()


@pytest.fixture
def tracked(engine: Engine, settings: Settings, server: MlflowServer) -> Settings:
    """Settings of a database with samples and of the server, under a model name of the test's own."""
    fill(engine)
    return settings.model_copy(
        update={"mlflow_tracking_uri": server.url, "model_name": f"liber-{secrets.token_hex(4)}"}
    )


def compare(engine: Engine, settings: Settings, folder: Path) -> TrainReport:
    return train(engine, settings, seeds=1, memory=("liber",), training=SMALL, checkpoints=folder / "checkpoints")


def one_whole_model(settings: Settings, report: TrainReport) -> None:
    """The registry has one version, which is the report's and the challenger, and it scores."""
    client = MlflowClient(tracking_uri=settings.mlflow_tracking_uri, registry_uri=settings.mlflow_tracking_uri)
    (version,) = client.search_model_versions(f"name = '{settings.model_name}'")
    assert str(version.version) == report.model_version
    assert registry.find(client, settings, "challenger").version == version.version
    assert "partition_vectors" in version.description
    with tracking.pointed_at(settings.require("mlflow_tracking_uri")):
        model = mlflow.pyfunc.load_model(f"models:/{settings.model_name}@challenger")
        assert len(model.predict(model.input_example)) == len(model.input_example)
    experiment = tracking.experiment_id(client)
    assert tracking.finished(client, experiment, report.fingerprint) == report


def test_a_disk_that_is_full_while_the_model_is_stored_or_the_report_leaves_one_model(
    engine: Engine, tracked: Settings, server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # not minutes
    server.largest_file(ROOM)
    with pytest.raises(ServiceUnavailable, match=r"MLflow .*the server and its disk, then run the command again"):
        compare(engine, tracked, tmp_path)
    client = tracking.connect(tracked)
    assert client.search_model_versions(f"name = '{tracked.model_name}'") == []
    assert list((tmp_path / "checkpoints").iterdir())  # the training itself is not lost
    server.largest_file(psutil.RLIM_INFINITY)
    with monkeypatch.context() as patch:
        registered = registry.register

        def full_afterwards(*arguments: object) -> str:
            version = registered(*arguments)  # type: ignore[arg-type]
            server.largest_file(1)
            return version

        patch.setattr(registry, "register", full_afterwards)
        with pytest.raises(ServiceUnavailable, match="its disk"):
            compare(engine, tracked, tmp_path)
    server.largest_file(psutil.RLIM_INFINITY)
    one_whole_model(tracked, compare(engine, tracked, tmp_path))
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_server_that_is_killed_and_started_again_during_training_is_waited_for(
    engine: Engine, tracked: Settings, server: MlflowServer, tmp_path: Path
) -> None:
    deaths = []

    def die(done: int, total: int | None, label: str) -> None:
        if not deaths:
            server.kill()
            server.start(wait=False)
            deaths.append(label)

    report = train(engine, tracked, seeds=1, memory=("liber",), training=SMALL, progress=die)
    assert deaths[0].endswith("samples of epoch 1")
    one_whole_model(tracked, report)


KILLED = """
import os, signal, sys
from pathlib import Path
from liber_tasks import db
from liber_tasks.config import Settings
from liber_tasks.training import registry
from tests.drills.test_mlflow import compare
settings = Settings(_env_file=None, database_url=sys.argv[1], mlflow_tracking_uri=sys.argv[2], model_name=sys.argv[3])
registry._publish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
compare(db.connect(settings), settings, Path(sys.argv[4]))
"""


def test_a_trainer_that_is_killed_right_after_it_registered_the_model_registers_it_once(
    engine: Engine, tracked: Settings, tmp_path: Path
) -> None:
    arguments = [tracked.require("database_url"), str(tracked.mlflow_tracking_uri), tracked.model_name, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": str(tracked.mlflow_tracking_uri)}
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], env=environment, cwd=ROOT, check=False,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert registry.find(tracking.connect(tracked), tracked, "challenger") is None
    one_whole_model(tracked, compare(engine, tracked, tmp_path))
