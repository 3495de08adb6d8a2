"""Loaded by every Airflow process. In the scheduler it imports the heavy libraries once, before tasks are forked."""

import sys

if "scheduler" in sys.argv[1:2]:
    import mlflow  # noqa: F401
    import torch

    torch.set_num_threads(1)  # a pool of threads does not survive the fork
