"""Talking to MLflow from a stage: a client that gives up within seconds, and failures a user can act on.

mlflow is imported where it is used: importing this module costs a DAG file nothing.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from liber_tasks.config import Settings, environment
from liber_tasks.errors import ServiceUnavailable

if TYPE_CHECKING:
    from mlflow import MlflowClient

# How MLflow's client words an answer that is not MLflow's own: after its retries, and without any.
_STATUS = re.compile(r"too many (\d{3}) error responses|failed with error code (\d{3})")
# MLflow's client would ask an absent server again for minutes, and parts of it ask nobody but the environment.
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@contextmanager
def connected(settings: Settings) -> Iterator["MlflowClient"]:
    """A client of tracking server and registry; its failures become one clear sentence.

    Args:
        settings: `mlflow_tracking_uri`.

    Raises:
        InputError: MLFLOW_TRACKING_URI is not set.
        ServiceUnavailable: the server does not answer or refuses.
    """
    uri = settings.require("mlflow_tracking_uri")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    with environment(PATIENCE | {"MLFLOW_TRACKING_URI": uri, "MLFLOW_REGISTRY_URI": uri}):
        try:
            yield MlflowClient(tracking_uri=uri, registry_uri=uri)
        except (MlflowException, OSError) as error:
            raise unavailable(uri, error) from error


def unavailable(uri: str, error: Exception) -> ServiceUnavailable:
    """What a failed request says of the server: that it is away, or that it answers and with what."""
    said = " ".join(str(error).split())
    if status := _STATUS.search(said):
        reason = f"answers with status {status[1] or status[2]}"
    elif unanswered(error):
        reason = "does not answer"
    else:
        reason = f"refuses ({said[:200]})"
    return ServiceUnavailable(
        f"MLflow {reason} at {uri}: check MLFLOW_TRACKING_URI, the server and its disk, then run the command again."
    )


def unanswered(error: Exception) -> bool:
    """Whether a request brought no answer of MLflow's own; else MLflow refused it."""
    return isinstance(error, OSError) or any(words in str(error) for words in ("API request to", "Max retries"))


def experiment_id(client: "MlflowClient", name: str) -> str:
    """The experiment of that name, made at first use."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:  # another process was first
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)
