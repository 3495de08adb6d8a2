"""Training and scoring from the command line: alone, in two processes, up to a model that serves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.training import registry, tracking
from tests.training.data import fill

BIN = Path(sys.executable).parent
TRAIN = ("train", "--backbone", "din", "--seeds", "1", "--max-epochs", "1", "--dropout", "0", "--batch-size", "64")
TORCHRUN = (str(BIN / "torchrun"), "--standalone", "--nproc-per-node", "2", "--no-python")


@pytest.fixture
def environment(engine: Engine, tracked: Settings, tmp_path: Path) -> dict[str, str]:
    fill(engine)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LIBER_", "MLFLOW_"))}
    return kept | {
        "LIBER_DATABASE_URL": tracked.require("database_url"),
        "LIBER_KNOWLEDGE_VERSION": "k1",
        "LIBER_MODEL_NAME": tracked.model_name,
        "LIBER_CHECKPOINTS": str(tmp_path / "checkpoints"),
        "MLFLOW_TRACKING_URI": tracked.require("mlflow_tracking_uri"),
        "OMP_NUM_THREADS": "1",
        "PATH": f"{BIN}:{kept['PATH']}",
    }


def liber(
    environment: dict[str, str], *words: str, launcher: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    command = [*launcher, str(BIN / "liber"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)


def test_trained_in_two_processes_approved_and_scored(
    environment: dict[str, str], tracked: Settings, tmp_path: Path
) -> None:
    done = liber(environment, *TRAIN, "--json", launcher=TORCHRUN)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)  # one process speaks
    assert (report["seeds"], report["options"], report["model_alias"]) == (1, ["pooled"], "challenger")
    assert (report["training"]["dropout"], report["training"]["batch_size"]) == (0.0, 64)
    assert "run 2 of 2 (din, memory liber, seed 0): samples of epoch 1" in done.stderr
    assert list((tmp_path / "checkpoints").iterdir()) == []
    client = tracking.connect(tracked)
    mine = f"params.model_name = '{tracked.model_name}' AND tags.`liber.kind` = 'comparison'"
    assert len(client.search_runs([report["experiment_id"]], mine)) == 1

    alone = liber(environment, *TRAIN, "--json")  # the same comparison, whoever makes it
    assert json.loads(alone.stdout) == {**report, "reused": True}

    early = liber(environment, "score", "u1", "i1")
    assert early.returncode == 1
    assert "run `liber promote`" in early.stderr
    assert json.loads(liber(environment, "promote", "--yes", "--json").stdout)["champion"] == report["model_version"]
    assert registry.champion(client, tracked).version == report["model_version"]
    scores = json.loads(liber(environment, "score", "u1", "i1", "i2", "--json").stdout)["scores"]
    assert {row["item_id"] for row in scores} == {"i1", "i2"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--option", "poled"], "of pooled, mean"),
        (["--learning-rate", "-1"], "learning_rate is -1.0: it must be above 0"),
    ],
)
def test_bad_usage_is_one_sentence_and_status_2(environment: dict[str, str], words: list[str], said: str) -> None:
    done = liber(environment, "train", *words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr
