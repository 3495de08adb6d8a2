"""Finished cells and reports in MLflow: a killed study goes on, and studies share what they have trained."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from liber_tasks.config import Settings
from liber_tasks.evaluation.cells import Cell, Outcome
from liber_tasks.mlflow_client import experiment_id, unanswered
from liber_tasks.training import tracking

EXPERIMENT = "liber-evaluate"
KIND = "liber.kind"
FINGERPRINT = "liber.fingerprint"
PREDICTIONS = "predictions.npz"
PAGE = 1000


class Store:
    """The experiment that holds cells and reports. Use it within `connected`."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._experiment = experiment_id(client, EXPERIMENT)
        self._runs = dict(self._finished())

    def find(self, cell: Cell, tests: int, validations: int) -> Outcome | None:
        """The kept outcome of a cell; None: there is none, it was deleted, or it is of other numbers of rows."""
        run = self._runs.get(cell.fingerprint)
        if run is None:
            return None
        with tempfile.TemporaryDirectory() as folder:
            try:
                stored = Path(self._client.download_artifacts(run, PREDICTIONS, folder)).read_bytes()
                outcome = Outcome.from_bytes(stored)
            except (MlflowException, OSError, KeyError, ValueError) as error:
                if isinstance(error, MlflowException) and unanswered(error):
                    raise
                return None
        return outcome if (len(outcome.test), len(outcome.validation)) == (tests, validations) else None

    def keep(self, cell: Cell, outcome: Outcome, test: Mapping[str, float], tags: Mapping[str, str]) -> str:
        """Keep a finished cell and return its run. The run counts only once everything is there."""
        own = {**cell.config.to_dict(), **cell.training.to_dict(), "seed": cell.seed, "source": cell.arm.source}
        curve = [
            Metric(name, float(value), 0, step)
            for step, row in enumerate(outcome.curve, 1)
            for name, value in zip(("train_log_loss", "validation_log_loss", "validation_auc"), row, strict=True)
            if value == value  # an AUC of one class is NaN
        ]
        last = {**{f"test_{name}": value for name, value in test.items()}, "best_epoch": outcome.best_epoch,
                "seconds": outcome.seconds}  # fmt: skip
        with self.run(cell.label, "cell", {**tags, FINGERPRINT: cell.fingerprint}) as run:
            self._client.log_batch(
                run,
                metrics=[*curve, *(Metric(name, float(value), 0, 0) for name, value in last.items())],
                params=[Param(name, str(value)) for name, value in own.items()],
            )
            self.files(run, {PREDICTIONS: outcome.to_bytes()})
        self._runs[cell.fingerprint] = run
        return run

    @contextmanager
    def run(self, name: str, kind: str, tags: Mapping[str, str]) -> Iterator[str]:
        """A run that ends FINISHED, or FAILED if what is done within it does; gives its id."""
        run = str(self._client.create_run(self._experiment, tags={**tags, KIND: kind}, run_name=name).info.run_id)
        try:
            yield run
        except BaseException:
            with suppress(MlflowException):
                self._client.set_terminated(run, status="FAILED")
            raise
        self._client.set_terminated(run)

    def files(self, run: str, files: Mapping[str, bytes]) -> None:
        """Artifacts of a run, by name."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                path = Path(folder) / name
                path.write_bytes(content)
                self._client.log_artifact(run, str(path))

    def _finished(self) -> Iterator[tuple[str, str]]:
        """Fingerprint and run of every finished cell; of equals the newest comes last."""
        token: str | None = None
        while True:
            page: Any = self._client.search_runs(
                [self._experiment], f"attributes.status = 'FINISHED' AND tags.`{KIND}` = 'cell'", max_results=PAGE,
                order_by=["attributes.start_time ASC"], page_token=token,
            )  # fmt: skip
            for run in page:
                yield run.data.tags.get(FINGERPRINT, ""), str(run.info.run_id)
            token = page.token
            if not token:
                return


@contextmanager
def connected(settings: Settings) -> Iterator[Store]:
    """The store, and clear errors for whatever is done with it.

    Raises:
        InputError: MLFLOW_TRACKING_URI is not set.
        ServiceUnavailable: the server does not answer.
    """
    client = tracking.connect(settings)
    with tracking.mlflow_errors(settings.require("mlflow_tracking_uri")):
        yield Store(client)
