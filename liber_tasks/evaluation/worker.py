"""What runs in a process that trains cells. It imports no MLflow client: every process would pay for it."""

import multiprocessing
import os
import pickle
import signal
import threading
from functools import lru_cache
from multiprocessing.connection import wait
from pathlib import Path

from liber_tasks.evaluation import cells
from liber_tasks.evaluation.cells import Cell, Outcome
from liber_tasks.training.dataset import Dataset


def as_a_child() -> None:
    """Die at once and silently at Ctrl-C, and with the parent, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel
        threading.Thread(target=lambda: (wait([sentinel]), os._exit(1)), daemon=True).start()


@lru_cache(maxsize=2)
def _read(path: Path) -> Dataset:
    dataset: Dataset = pickle.loads(path.read_bytes())  # written by the parent in a folder of its own
    return dataset


def train(cell: Cell, path: Path) -> Outcome:
    """Train a cell on the samples in a file."""
    return cells.train(cell, _read(path))
