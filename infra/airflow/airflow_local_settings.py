"""Loaded by every Airflow process. In those that fork tasks it imports what tasks need once, before the first."""

import os
import sys
from importlib import import_module

NEEDED = (
    "mlflow.pyfunc",
    "tea_tasting.metrics",
    "transformers.models.bert.modeling_bert",
    "liber_tasks.behavior.ingest",
    "liber_tasks.encoder.items",
    "liber_tasks.encoder.knowledge",
    "liber_tasks.encoder.pca",
    "liber_tasks.encoder.store",
    "liber_tasks.experiment.daily",
    "liber_tasks.interest.items",
    "liber_tasks.interest.learn",
    "liber_tasks.partition.stream",
    "liber_tasks.serving.promotion",
    "liber_tasks.training.search",
    "liber_tasks.training.train",
)

if sys.argv[1:2] == ["scheduler"] or sys.argv[1:3] == ["celery", "worker"]:
    for name in NEEDED:
        import_module(name)

    import torch

    def renew_torch_threads() -> None:
        """A pool of threads does not survive the fork: torch replaces it at the first use in the child.

        That replacement is not guarded against a second thread, which finds no pool ("Invalid thread pool!"), and
        transformers loads weights with several threads. So it happens here, where there is only one.
        """
        torch.set_num_threads(1)

    renew_torch_threads()
    os.register_at_fork(after_in_child=renew_torch_threads)
