"""The registered model: everything a consumer needs, complete before the alias points at it."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types.schema import Array, ColSpec, DataType, Schema
from safetensors.torch import save_file

from liber_tasks import config
from liber_tasks.config import Settings
from liber_tasks.errors import LiberError
from liber_tasks.serving.inputs import COLUMNS, example
from liber_tasks.training import tracking
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.fit import Fitted

ALIAS = "champion"
PACKAGE = config.ROOT / "liber_tasks"
CARRIED = ("__init__.py", "errors.py", "backbones", "fusion", "serving/__init__.py", "serving/inputs.py")
REQUIREMENTS = ("mlflow", "numpy", "pandas", "safetensors", "torch")


def register(
    client: MlflowClient, settings: Settings, run_id: str, fitted: Fitted, dataset: Dataset, tags: Mapping[str, str]
) -> str:
    """Log a model under its run, register it, describe it, and only then move the alias to it.

    Args:
        client: of the tracking server and registry.
        settings: `model_name`, `mlflow_tracking_uri`.
        run_id: run that trained it; it is FINISHED afterwards.
        fitted: the model.
        dataset: what it was trained on: its vocabulary travels with the model.
        tags: of the model version: versions, metrics.

    Returns:
        The number of the model version.
    """
    name, uri = settings.model_name, settings.require("mlflow_tracking_uri")
    with (
        tempfile.TemporaryDirectory() as folder,
        tracking.pointed_at(uri),
        mlflow.start_run(run_id=run_id, nested=True),
    ):
        logged = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(PACKAGE / "serving" / "pyfunc.py"),
            artifacts={"model": str(_save(Path(folder) / "model", fitted, dataset))},
            code_paths=[str(_carry(Path(folder) / "code"))],
            signature=_signature(),
            input_example=example(dataset.vocabulary, fitted.config),
            pip_requirements=_pinned(REQUIREMENTS),
        )
        version = mlflow.register_model(logged.model_uri, name, tags=dict(tags))
    client.update_model_version(name, version.version, description=_description(name, tags))
    client.set_registered_model_alias(name, ALIAS, version.version)
    return str(version.version)


def champion(client: MlflowClient, settings: Settings) -> Any:
    """Registry entry of the model version behind the alias.

    Raises:
        LiberError: no model is registered yet; says what to do.
        ServiceUnavailable: MLflow does not answer.
    """
    from mlflow.exceptions import MlflowException

    with tracking.mlflow_errors(settings.require("mlflow_tracking_uri")):
        try:
            return client.get_model_version_by_alias(settings.model_name, ALIAS)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
    raise LiberError(f"MLflow has no model {settings.model_name}@{ALIAS} yet: run `liber train`.")


def latest_report(settings: Settings) -> dict[str, Any]:
    """The newest finished comparison in MLflow (`TrainReport.to_dict`).

    Raises:
        LiberError: there is none yet; says what to do.
        ServiceUnavailable: MLflow does not answer.
    """
    client = tracking.connect(settings)
    with tracking.mlflow_errors(settings.require("mlflow_tracking_uri")):
        report = tracking.finished(client, tracking.experiment_id(client))
    if report is None:
        raise LiberError("MLflow has no finished training yet: run `liber train`.")
    return report.to_dict()


def _save(folder: Path, fitted: Fitted, dataset: Dataset) -> Path:
    """Weights and their meaning, without pickle."""
    folder.mkdir()
    save_file(
        {key: value.contiguous() for key, value in fitted.model.state_dict().items()}, folder / "model.safetensors"
    )
    (folder / "config.json").write_text(json.dumps(fitted.config.to_dict(), indent=1), encoding="utf-8")
    (folder / "vocabulary.json").write_text(dataset.vocabulary.to_json(), encoding="utf-8")
    return folder


def _carry(folder: Path) -> Path:
    """The part of this package that the model runs, as a package `liber_tasks` of its own."""
    for part in CARRIED:
        source, target = PACKAGE / part, folder / "liber_tasks" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return folder / "liber_tasks"


def _signature() -> ModelSignature:
    return ModelSignature(
        inputs=Schema(
            [ColSpec(_mlflow_type(column.kind), column.name, required=column.required) for column in COLUMNS]
        ),
        outputs=Schema([ColSpec(DataType.double, "probability")]),
    )


def _mlflow_type(kind: str) -> DataType | Array:
    if kind.startswith("list of "):
        return Array(_mlflow_type(kind.removeprefix("list of ")))
    return {"text": DataType.string, "number": DataType.double}[kind]


def _pinned(names: Sequence[str]) -> list[str]:
    """Installed versions, without local parts ("+cpu") that the public index does not know."""
    return [f"{name}=={installed(name).split('+')[0]}" for name in names]


def _description(name: str, tags: Mapping[str, str]) -> str:
    facts = "\n".join(f"- {key.removeprefix('liber.')}: {value}" for key, value in sorted(tags.items()))
    columns = "\n".join(
        f"- `{column.name}` ({column.kind}{'' if column.required else ', optional'}): {column.meaning}"
        for column in COLUMNS
    )
    return (
        f"Click probability of (user, item) pairs with LIBER's long-term memory.\n\n"
        f'`mlflow.pyfunc.load_model("models:/{name}@{ALIAS}").predict(frame)`, one row a pair:\n\n{columns}\n\n'
        f"Everything in a row must be from before the moment that is predicted. Trained with:\n\n{facts}\n"
    )
