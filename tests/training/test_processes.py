"""Training killed between epochs, and in several processes: real processes, the same weights."""

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from liber_tasks.config import ROOT
from liber_tasks.training import processes
from liber_tasks.training.parts import FIT
from tests.serving.world import World
from tests.training.data import SMALL
from tests.training.fitting import Result, Task, results
from tests.training.test_fit import ALL

TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
EPOCHS = 5


def start(folder: Path, task: Task, *launcher: str) -> "subprocess.CompletedProcess[str]":
    """Run a task in processes of its own."""
    (folder / "task.pickle").write_bytes(pickle.dumps(task))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *launcher, "tests.training.fitting", str(folder)]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)


def assert_same(found: list[Result], expected: list[Result], tolerance: float) -> None:
    for (weights, epochs), (own_weights, own_epochs) in zip(found, expected, strict=True):
        for name, weight in own_weights.items():
            torch.testing.assert_close(weights[name], weight, atol=tolerance, rtol=tolerance, msg=name)
        for epoch, own in zip(epochs, own_epochs, strict=True):
            assert epoch.log_loss == pytest.approx(own.log_loss, abs=tolerance)
            assert epoch.train_log_loss == pytest.approx(own.train_log_loss, abs=tolerance)


def test_killed_between_epochs_it_goes_on_to_the_weights_of_an_undisturbed_run(world: World, tmp_path: Path) -> None:
    training = replace(SMALL, max_epochs=EPOCHS, patience=EPOCHS, learning_rate=1e-2)  # with dropout, of all kinds
    task = Task(world.dataset, ("dien",), ALL, training)
    kept = replace(task, checkpoints=tmp_path / "kept")
    killed = start(tmp_path, replace(kept, die_in=3))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(list((tmp_path / "kept").iterdir())) == 1
    labels: list[str] = []
    found = results(kept, lambda done, total, label: labels.append(label))
    assert set(labels) == {f"samples of epoch {n}" for n in range(3, EPOCHS + 1)}
    assert_same(found, results(task), 0)


def test_a_checkpoint_of_other_samples_or_hyperparameters_is_not_taken(world: World, tmp_path: Path) -> None:
    task = Task(world.dataset, ("din",), (), replace(SMALL, max_epochs=1), tmp_path)
    results(task)
    for other in (
        replace(task, dataset=replace(task.dataset, digest="other")),
        replace(task, training=replace(task.training, dropout=0.1)),
        replace(task, options=("pooled",)),
    ):
        labels: list[str] = []
        results(other, lambda done, total, label, labels=labels: labels.append(label))  # type: ignore[misc]
        assert labels


def test_a_damaged_checkpoint_is_begun_again(world: World, tmp_path: Path) -> None:
    task = Task(world.dataset, ("din",), (), replace(SMALL, max_epochs=1), tmp_path)
    expected = results(task)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert_same(results(task), expected, 0)


def test_two_processes_train_what_one_trains(world: World, tmp_path: Path) -> None:
    rows = len(world.dataset.rows(FIT))
    batch = next(n for n in range(60, rows) if rows % n == 1)  # the last batch is smaller than the processes are many
    training = replace(SMALL, batch_size=batch, dropout=0.0, max_epochs=2, patience=2)
    task = Task(world.dataset, ("dien", "din"), ALL, training)  # with an auxiliary loss, and without
    done = start(tmp_path, task, *TORCHRUN)
    assert done.returncode == 0, done.stderr[-3000:]
    size, found, refused = pickle.loads((tmp_path / "done.pickle").read_bytes())
    assert size == 2
    assert refused == "The 2 training processes do not see the same samples: start them again."
    assert_same(found, results(task), 1e-4)


def test_one_process_alone_is_the_first_and_agrees_with_itself() -> None:
    with processes.group():
        assert processes.world() == 1
        assert processes.first()
        assert processes.share(7) == slice(None)
        assert processes.shared(lambda: "mine") == "mine"
        processes.same("samples", "whatever")
