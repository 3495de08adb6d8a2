"""Training in a process of its own: killed on the way, or one of several that torchrun starts.

    python -m tests.training.fitting FOLDER

FOLDER holds `task.pickle`; the first process leaves `done.pickle` there.
"""

import os
import pickle
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from liber_tasks.errors import LiberError
from liber_tasks.training import processes
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.fit import Epoch, fit
from liber_tasks.training.options import Options
from liber_tasks.types import Progress, silent


@dataclass(frozen=True)
class Task:
    """What to train, one model a backbone."""

    dataset: Dataset
    backbones: tuple[str, ...]
    options: tuple[str, ...]
    training: Options
    checkpoints: Path | None = None
    die_in: int | None = None  # epoch within which the process kills itself


Result = tuple[dict[str, Any], tuple[Epoch, ...]]  # weights and epochs


def results(task: Task, progress: Progress = silent) -> list[Result]:
    """Train them here."""
    found = []
    for backbone in task.backbones:
        config = task.dataset.config(backbone, task.options, task.training)
        fitted = fit(task.dataset, config, task.training, 0, checkpoints=task.checkpoints, progress=progress)
        found.append((fitted.model.state_dict(), fitted.epochs))
    return found


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    task: Task = pickle.loads((folder / "task.pickle").read_bytes())

    def die(done: int, total: int | None, label: str) -> None:
        if label.endswith(f"epoch {task.die_in}"):
            os.kill(os.getpid(), signal.SIGKILL)

    with processes.group():
        found = results(task, die)
        try:
            processes.same("samples", os.environ.get("RANK", ""))
            refused = ""
        except LiberError as error:
            refused = str(error)
        if processes.first():
            (folder / "done.pickle").write_bytes(pickle.dumps((processes.world(), found, refused)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
