"""Encoders as versions of a registered model in MLflow: `encoder.json` and what else an encoder is made of.

mlflow is imported where it is used.
"""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.errors import LiberError
from liber_tasks.mlflow_client import experiment_id

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAG = "liber.encoder_version"
FOLDER = "encoder"  # of the run's artifacts
IDENTITY = "encoder.json"
_log = logging.getLogger("liber")


def try_register(
    register: Callable[[Engine, Settings, str], str], engine: Engine, settings: Settings, encoder_version: str
) -> str | None:
    """Call `register`, but a failure is only logged: vectors do not wait for MLflow, and the next run tries again.

    Returns:
        The address; None if MLFLOW_TRACKING_URI is not set or MLflow failed.
    """
    if settings.mlflow_tracking_uri is None:
        return None
    try:
        return register(engine, settings, encoder_version)
    except LiberError as error:
        _log.warning("Encoder %s is not in MLflow yet, the next run tries again: %s", encoder_version, error)
        return None


def find(client: "MlflowClient", name: str, encoder_version: str) -> str | None:
    """Number of the version; the lowest where two processes added one at the same moment."""
    found = client.search_model_versions(f"name = '{name}'")  # few; a version may hold what a filter cannot quote
    numbers = (str(version.version) for version in found if version.tags.get(TAG) == encoder_version)
    return min(numbers, key=int, default=None)


def add(
    client: "MlflowClient",
    name: str,
    description: str,
    row: Mapping[str, Any],
    files: Mapping[str, bytes],
    tags: Mapping[str, str],
) -> str:
    """A finished run with the files, then the version that points at it.

    Args:
        client: of the registry.
        name: of the registered model; made if it is not there.
        description: of the registered model.
        row: what is known of the encoder, `encoder_version` and `model` among it.
        files: name to content, beside `IDENTITY`.
        tags: further ones of the version.

    Returns:
        The number of the version.
    """
    from mlflow.exceptions import MlflowException

    version = row["encoder_version"]
    entries = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in row.items()}
    tags = {TAG: version, "liber.model": row["model"], **tags}
    run = client.create_run(experiment_id(client, name), tags={**tags, "liber.kind": "encoder"}, run_name=version)
    for key, value in entries.items():
        client.log_param(run.info.run_id, key, value)
    if "explained_variance" in row:
        client.log_metric(run.info.run_id, "explained_variance", row["explained_variance"])
    with TemporaryDirectory(prefix="liber-encoder-") as folder:
        (Path(folder) / IDENTITY).write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
        for file, content in files.items():
            (Path(folder) / file).write_bytes(content)
        client.log_artifacts(run.info.run_id, folder, FOLDER)
    client.set_terminated(run.info.run_id)
    try:
        client.create_registered_model(name, description=description)
    except MlflowException as error:  # there already, or another process was first
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{run.info.artifact_uri}/{FOLDER}"
    made = client.create_model_version(name, source, run.info.run_id, tags=tags)
    return str(made.version)
