"""What a comparison leaves in MLflow, and finding it again."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from liber_tasks import mlflow_client
from liber_tasks.config import ROOT, Settings, environment
from liber_tasks.training.fit import Fitted
from liber_tasks.training.report import TrainReport

EXPERIMENT = "liber-train"
FINGERPRINT = "liber.fingerprint"
KIND = "liber.kind"
COMPARISON, CANDIDATE, FIT = "comparison", "candidate", "fit"  # kinds of runs: models of variants and seeds lie in both
REPORT = "report.json"
QUIET = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
PROBE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "15"}


@contextmanager
def mlflow_errors(uri: str) -> Iterator[None]:
    """Turn an MLflow server that cannot be reached or cannot store into one clear sentence; keep MLflow off stdout."""
    try:
        with environment(QUIET):
            yield
    except MlflowException as error:
        if not mlflow_client.unanswered(error):
            raise
        raise mlflow_client.unavailable(uri, error) from error


def connect(settings: Settings) -> MlflowClient:
    """Client of the tracking server and registry, after a short probe.

    Raises:
        InputError: MLFLOW_TRACKING_URI is not set.
        ServiceUnavailable: the server does not answer.
    """
    uri = settings.require("mlflow_tracking_uri")
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    with mlflow_errors(uri), environment(PROBE):
        client.search_experiments(max_results=1)
    return client


def experiment_id(client: MlflowClient) -> str:
    """The experiment of all comparisons, made at first use."""
    return mlflow_client.experiment_id(client, EXPERIMENT)


def finished(client: MlflowClient, experiment: str, fingerprint: str | None = None) -> TrainReport | None:
    """The newest finished comparison, of one fingerprint if given, whose registered model (if any) still exists."""
    for run in _runs(client, experiment, COMPARISON, fingerprint):
        report = _report(client, run)
        if report is not None and (report.model_version is None or _exists(client, report)):
            return report
    return None


def finished_candidate(client: MlflowClient, experiment: str, fingerprint: str) -> str | None:
    """The newest finished run of a candidate."""
    return next((str(run.info.run_id) for run in _runs(client, experiment, CANDIDATE, fingerprint)), None)


def unfinished(client: MlflowClient, experiment: str, fingerprint: str) -> list[str]:
    """Comparisons of a fingerprint that began and did not get to their end, the newest first."""
    of_it = f"tags.`{KIND}` = '{COMPARISON}' AND tags.`{FINGERPRINT}` = '{fingerprint}'"
    wanted = f"attributes.status != 'FINISHED' AND {of_it}"
    return [str(run.info.run_id) for run in client.search_runs([experiment], wanted)]


def _runs(client: MlflowClient, experiment: str, kind: str, fingerprint: str | None) -> list[Run]:
    of_it = f" AND tags.`{FINGERPRINT}` = '{fingerprint}'" if fingerprint else ""
    wanted = f"attributes.status = 'FINISHED' AND tags.`{KIND}` = '{kind}'{of_it}"
    return list(client.search_runs([experiment], wanted, max_results=5))


def start(
    client: MlflowClient,
    experiment: str,
    name: str,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
    kind: str = COMPARISON,
) -> str:
    """Start a run that holds others. Its status says FINISHED only once everything, the model included, is there."""
    run = client.create_run(experiment, tags={**tags, KIND: kind, **_git()}, run_name=name)
    client.log_batch(run.info.run_id, params=[Param(key, str(value)) for key, value in params.items()])
    return str(run.info.run_id)


def log_fit(
    client: MlflowClient,
    experiment: str,
    parent: str,
    memory: str,
    fitted: Fitted,
    params: Mapping[str, Any],
    test: Mapping[str, float],
) -> str:
    """One nested run, whose id it returns: parameters, validation curves by epoch, test metrics of the kept epoch.

    Args:
        client: of the tracking server.
        experiment: id.
        parent: run that holds it.
        memory: variant, none or liber.
        fitted: the model.
        params: of the parent.
        test: metrics on the test rows; empty where they must not be looked at.
    """
    name = f"{fitted.config.backbone}-{memory}-seed{fitted.seed}"
    run = client.create_run(experiment, tags={"mlflow.parentRunId": parent, KIND: FIT}, run_name=name)
    metrics = [
        Metric(key, value, 0, step)
        for step, epoch in enumerate(fitted.epochs, 1)
        for key, value in (
            ("train_log_loss", epoch.train_log_loss),
            ("validation_log_loss", epoch.log_loss),
            ("validation_auc", epoch.auc),
        )
        if value is not None
    ]
    metrics += [Metric(f"test_{key}", value, 0, 0) for key, value in test.items()]
    metrics += [Metric("seconds", fitted.seconds, 0, 0), Metric("best_epoch", fitted.best_epoch, 0, 0)]
    own = {**params, **fitted.config.to_dict(), "memory": memory, "seed": fitted.seed}
    client.log_batch(run.info.run_id, metrics=metrics, params=[Param(key, str(value)) for key, value in own.items()])
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def finish(client: MlflowClient, report: TrainReport) -> None:
    """Keep the report and close the run."""
    metrics = {
        f"{memory}_{name}_{part}": value
        for memory, variant in report.variants.items()
        for name, spread in (("auc", variant.auc), ("log_loss", variant.log_loss))
        for part, value in (("mean", spread.mean), ("sd", spread.sd))
    }
    if report.auc_difference is not None:
        metrics |= {f"auc_difference_{part}": getattr(report.auc_difference, part) for part in ("mean", "sd", "p")}
    if report.auc_interval is not None:
        metrics |= {f"auc_difference_{part}": getattr(report.auc_interval, part) for part in ("low", "high")}
    client.log_batch(
        report.run_id,
        metrics=[Metric(key, value, 0, 0) for key, value in metrics.items() if value is not None],
        tags=[RunTag("liber.model_version", str(report.model_version))] if report.model_version else [],
    )
    client.log_dict(report.run_id, report.to_dict(), REPORT)
    client.set_terminated(report.run_id)


def finish_candidate(client: MlflowClient, run_id: str, metrics: Mapping[str, float]) -> None:
    """Keep what validation says and close the run."""
    client.log_batch(run_id, metrics=[Metric(key, value, 0, 0) for key, value in metrics.items()])
    client.set_terminated(run_id)


def fail(client: MlflowClient, run_id: str) -> None:
    """Mark a run that did not get to its end."""
    with suppress(MlflowException):
        client.set_terminated(run_id, status="FAILED")


def _report(client: MlflowClient, run: Run) -> TrainReport | None:
    if REPORT not in (file.path for file in client.list_artifacts(run.info.run_id)):
        return None  # deleted
    with tempfile.TemporaryDirectory() as folder:
        text = Path(client.download_artifacts(run.info.run_id, REPORT, folder)).read_text(encoding="utf-8")
    try:
        return TrainReport.from_dict(json.loads(text))
    except (KeyError, TypeError):  # written by another version of this code
        return None


def _exists(client: MlflowClient, report: TrainReport) -> bool:
    try:
        client.get_model_version(str(report.model_name), str(report.model_version))
    except MlflowException:
        return False
    return True


def _git() -> dict[str, str]:
    """The commit of the code, when it runs from a checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return {"mlflow.source.git.commit": done.stdout.strip()} if done.returncode == 0 else {}


@contextmanager
def pointed_at(uri: str) -> Iterator[None]:
    """MLflow's process-wide address, which logging and loading models know no way around; put back afterwards."""
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    with environment(dict.fromkeys(names, uri)):
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        try:
            yield
        finally:  # an address set before is in the environment too: MLflow writes it there
            mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
            mlflow.set_registry_uri(None)  # type: ignore[arg-type]
