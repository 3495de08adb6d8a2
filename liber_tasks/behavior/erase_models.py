"""Which registered models know a user: their vocabularies hold the ids that they were trained on.

An erasure cannot rewrite a registered model. It can say which versions to replace by a training run on what is left,
and then to delete in MLflow.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from liber_tasks.config import Settings, environment

VOCABULARY = "vocabulary.json"
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
             "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}  # fmt: skip


@dataclass(frozen=True)
class ModelsHolding:
    """Registered versions of `model_name` and some users."""

    checked: bool  # False: `reason` says why nobody looked
    reason: str | None = None
    versions: tuple[str, ...] = ()  # trained on data of one of them; newest first
    unread: tuple[str, ...] = ()  # versions whose vocabulary could not be read


def models_holding(settings: Settings, user_ids: Collection[str]) -> ModelsHolding:
    """Look for users in the vocabulary of every registered version; never fails.

    A model's vocabulary holds every user with a behaviour before the validation rows, so all whose data shaped its
    weights. Runs, reports, signatures and input examples in MLflow hold no ids of users.

    Args:
        settings: `mlflow_tracking_uri`, `model_name`.
        user_ids: external ids.
    """
    uri = settings.mlflow_tracking_uri
    if uri is None:
        return ModelsHolding(False, "MLFLOW_TRACKING_URI is not set")
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        return ModelsHolding(False, "mlflow is not installed")
    # parts of MLflow's client ask the environment, whatever they are given
    with environment(_PATIENCE | {"MLFLOW_TRACKING_URI": uri, "MLFLOW_REGISTRY_URI": uri}):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        try:
            found = list(client.search_model_versions(f"name = '{settings.model_name}'"))
        except (MlflowException, OSError):
            return ModelsHolding(False, f"MLflow does not answer at {uri}")
        known = {str(version.version): _knows(version, uri, user_ids) for version in found}
    order = sorted(known, key=int, reverse=True)
    return ModelsHolding(
        True,
        versions=tuple(number for number in order if known[number]),
        unread=tuple(number for number in order if known[number] is None),
    )


def _knows(version: Any, uri: str, user_ids: Collection[str]) -> bool | None:
    """Whether a version's vocabulary holds one of the users; None where it cannot be read."""
    import json

    from mlflow.artifacts import download_artifacts

    with TemporaryDirectory() as folder:
        try:
            path = download_artifacts(
                artifact_uri=f"models:/{version.name}/{version.version}/artifacts/model/{VOCABULARY}",
                dst_path=folder, tracking_uri=uri, registry_uri=uri,
            )  # fmt: skip
            users = json.loads(Path(path).read_text(encoding="utf-8"))["users"]
            return any(user_id in users for user_id in user_ids)
        except Exception as error:  # whatever a store or a file of somebody else's brings: the answer is "unknown"
            logging.getLogger(__name__).info("model version %s: %s", version.version, type(error).__name__)
            return None
