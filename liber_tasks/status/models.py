"""The newest registered model, asked of MLflow's REST API: its own client takes seconds to import."""

import os
from datetime import UTC, datetime
from typing import NamedTuple

import httpx

from liber_tasks.config import Settings

PATIENCE = 5.0  # seconds


class Trained(NamedTuple):
    """How many versions of the model were registered, and when the newest was."""

    versions: int
    newest_at: datetime


def trained(settings: Settings) -> Trained | None:
    """What MLflow says; None: nothing is trained, no server is set, or it does not answer.

    Credentials and certificates are those of MLflow's own variables: MLFLOW_TRACKING_USERNAME, _PASSWORD, _TOKEN and
    _SERVER_CERT_PATH (https://mlflow.org/docs/latest/self-hosting/security/basic-http-auth).

    Args:
        settings: `mlflow_tracking_uri`, `model_name`.
    """
    uri = settings.mlflow_tracking_uri or ""
    if not uri.startswith(("http://", "https://")):
        return None
    given = {name: os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in
             ("USERNAME", "PASSWORD", "TOKEN", "SERVER_CERT_PATH")}  # fmt: skip
    asked = {"filter": f"name = '{settings.model_name}'", "order_by": "version_number DESC", "max_results": "1"}
    try:
        answer = httpx.get(
            f"{uri.rstrip('/')}/api/2.0/mlflow/model-versions/search",
            params=asked,
            auth=(given["USERNAME"], given["PASSWORD"]) if given["USERNAME"] else None,
            headers={"Authorization": f"Bearer {given['TOKEN']}"} if given["TOKEN"] else {},
            verify=given["SERVER_CERT_PATH"] or True,
            timeout=PATIENCE,
        )
        answer.raise_for_status()
        found = answer.json().get("model_versions", [])
        if not found:
            return None
        newest = found[0]
        at = datetime.fromtimestamp(int(newest["creation_timestamp"]) / 1000, UTC)
        return Trained(int(newest["version"]), at)
    except (httpx.HTTPError, OSError, ValueError, KeyError):
        return None
