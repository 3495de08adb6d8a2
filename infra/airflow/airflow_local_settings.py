"""Loaded by every Airflow process. In those that fork tasks it imports the heavy libraries once, before the first."""

import os
import sys

if sys.argv[1:2] == ["scheduler"] or sys.argv[1:3] == ["celery", "worker"]:
    import mlflow  # noqa: F401
    import torch

    def renew_torch_threads() -> None:
        """A pool of threads does not survive the fork: torch replaces it at the first use in the child.

        That replacement is not guarded against a second thread, which finds no pool ("Invalid thread pool!"), and
        transformers loads weights with several threads. So it happens here, where there is only one.
        """
        torch.set_num_threads(1)

    renew_torch_threads()
    os.register_at_fork(after_in_child=renew_torch_threads)
