"""Which registered models know a user: vocabularies hold the ids that they were trained on, bundles all ids.

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
from liber_tasks.mlflow_client import PATIENCE

VOCABULARY = "vocabulary.json"
BUNDLE, USERS = ("liber.features", "bundle"), "users.json"  # tag of a version that carries features; of these users
_ADVICE = (
    "Run `liber train` (with --bundle where the champion carries features) and `liber promote`; then delete version "
    "{numbers} of {name} and its logged model in MLflow, and run `mlflow gc` on the server: docs/privacy.md."
)


@dataclass(frozen=True)
class ModelsHolding:
    """Registered versions of `model_name` and some users."""

    checked: bool  # False: `reason` says why nobody looked
    reason: str | None = None
    versions: tuple[str, ...] = ()  # trained on data of one of them; newest first
    unread: tuple[str, ...] = ()  # versions whose vocabulary could not be read
    advice: str | None = None  # what to do about `versions`


def models_holding(settings: Settings, user_ids: Collection[str]) -> ModelsHolding:
    """Look for users in the vocabulary of every registered version; never fails.

    A model's vocabulary holds every user with a behaviour before the validation rows, so all whose data shaped its
    weights; one that carries its features names all whose features these are. Runs, reports, signatures and input
    examples in MLflow hold no ids of users.

    Args:
        settings: `mlflow_tracking_uri`, `model_name`.
        user_ids: external ids.
    """
    uri = settings.require("mlflow_tracking_uri") if settings.mlflow_tracking_uri else None
    if uri is None:
        return ModelsHolding(False, "MLFLOW_TRACKING_URI is not set")
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        return ModelsHolding(False, "mlflow is not installed")
    # parts of MLflow's client ask the environment, whatever they are given
    with environment(PATIENCE | {"MLFLOW_TRACKING_URI": uri, "MLFLOW_REGISTRY_URI": uri}):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        try:
            found = list(client.search_model_versions(f"name = '{settings.model_name}'"))
        except (MlflowException, OSError):
            return ModelsHolding(False, f"MLflow does not answer at {uri}")
        known = {str(version.version): _knows(version, uri, user_ids) for version in found}
    order = sorted(known, key=int, reverse=True)
    versions = tuple(number for number in order if known[number])
    return ModelsHolding(
        True,
        versions=versions,
        unread=tuple(number for number in order if known[number] is None),
        advice=_ADVICE.format(name=settings.model_name, numbers=", ".join(versions)) if versions else None,
    )


def _knows(version: Any, uri: str, user_ids: Collection[str]) -> bool | None:
    """Whether a version's vocabulary or bundle holds one of the users; None where it cannot be read."""
    import json

    from mlflow.artifacts import download_artifacts

    def read(name: str, folder: str) -> Any:
        path = download_artifacts(
            artifact_uri=f"models:/{version.name}/{version.version}/artifacts/model/{name}",
            dst_path=folder, tracking_uri=uri, registry_uri=uri,
        )  # fmt: skip
        return json.loads(Path(path).read_text(encoding="utf-8"))

    with TemporaryDirectory() as folder:
        try:
            users = set(read(VOCABULARY, folder)["users"])
            tag, bundled = BUNDLE
            if version.tags.get(tag) == bundled:
                users.update(read(USERS, folder))
            return not users.isdisjoint(user_ids)
        except Exception as error:  # whatever a store or a file of somebody else's brings: the answer is "unknown"
            logging.getLogger(__name__).info("model version %s: %s", version.version, type(error).__name__)
            return None
