"""A finished readout in MLflow: the record as an artifact, linked to the models that were compared."""

import json
import re

from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.experiment.record import Readout, from_dict
from liber_tasks.experiment.stored import load
from liber_tasks.mlflow_client import connected

MLFLOW_EXPERIMENT = "liber-ab"
_VERSION = re.compile(r"models:/(?P<name>[^/@]+)(/(?P<version>\d+)|@(?P<alias>[^/@]+))$")


def publish(engine: Engine, settings: Settings, name: str) -> str:
    """Log the newest readout of an experiment that is over; a second call finds the first one's run.

    Args:
        engine: LIBER database.
        settings: `mlflow_tracking_uri`.
        name: of the experiment.

    Returns:
        Id of the MLflow run. Both model versions, where the definition names them, have it as tag `ab_readout`.

    Raises:
        InputError: the experiment is unknown, not over or not read, or a model it names is not registered.
        ServiceUnavailable: the database or MLflow cannot be reached.
    """
    with database_errors(), engine.connect() as connection:
        key = load(connection, name).experiment_key
        found = connection.execute(
            query("experiment/newest_readout"), {"experiment_key": key, "until_day": None}
        ).one_or_none()
    if found is None or not found.result["complete"]:
        raise InputError(f"Experiment {name!r} has no final readout yet: run `liber readout {name}` after its end.")
    record = from_dict(found.result)
    with connected(settings) as client:
        there = client.get_experiment_by_name(MLFLOW_EXPERIMENT)
        place = there.experiment_id if there else client.create_experiment(MLFLOW_EXPERIMENT)
        runs = client.search_runs(
            [place], f"tags.input_sha256 = '{record.input_sha256}' and attributes.status = 'FINISHED'"
        )
        if runs:
            return str(runs[0].info.run_id)
        versions = {arm: _version(client, arm, address) for arm, address in record.models.items()}
        tags = {"experiment": name, "input_sha256": record.input_sha256, "simulated": str(record.simulated)}
        run = client.create_run(place, run_name=name, tags=tags | {f"model.{a}": m for a, m in record.models.items()})
        run_id = str(run.info.run_id)
        for metric, value in _numbers(record).items():
            client.log_metric(run_id, metric, value)
        client.log_dict(run_id, found.result, "readout.json")
        for model, version in versions.values():
            client.set_model_version_tag(model, version, "ab_readout", json.dumps({"experiment": name, "run": run_id}))
        client.set_terminated(run_id)
    return run_id


def _numbers(record: Readout) -> dict[str, float]:
    """Lift and interval of each metric by the deciding method; a run without them where the lifts are hidden."""
    return {
        f"{name}.{field}": value
        for name, metric in record.metrics.items()
        for field in ("lift", "lift_low", "lift_high", "p_value")
        if (value := getattr(metric.best, field)) is not None
    }


def _version(client, arm: str, address: str) -> tuple[str, str]:  # type: ignore[no-untyped-def]
    """Name and version behind a registry address."""
    from mlflow.exceptions import MlflowException

    parts = _VERSION.match(address)
    if parts is None:
        raise InputError(f"models {arm} is {address!r}: write models:/NAME/VERSION or models:/NAME@ALIAS.")
    try:
        if parts["alias"]:
            return parts["name"], str(client.get_model_version_by_alias(parts["name"], parts["alias"]).version)
        return parts["name"], str(client.get_model_version(parts["name"], parts["version"]).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise InputError(
                f"models {arm} is {address}, which is not registered: register it, or correct the definition."
            ) from None
        raise
