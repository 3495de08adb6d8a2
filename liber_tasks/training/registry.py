"""The registered model: everything a consumer needs, complete before the alias points at it."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types.schema import AnyType, Array, ColSpec, DataType, Schema
from safetensors.torch import save_file

from liber_tasks import config
from liber_tasks.backbones.by_name import backbone_of
from liber_tasks.config import Settings
from liber_tasks.db import connect
from liber_tasks.errors import LiberError
from liber_tasks.fusion.options import COUNTED
from liber_tasks.serving.catalogue import ITEMS, SNAPSHOT, VERSIONS, VOCABULARY, Catalogue, Versions, view_arrays
from liber_tasks.serving.inputs import COLUMNS, example
from liber_tasks.training import tracking
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.fit import Fitted
from liber_tasks.training.results import COMPARISON_RUN

CHALLENGER, CHAMPION, PREVIOUS = "challenger", "champion", "previous"  # aliases; see `serving.promotion`
ALIAS = CHALLENGER  # what training sets; only an approved promotion sets the others
FEATURES = "liber.features"  # tag: where the model's features are, "database" or "bundle"
PACKAGE = config.ROOT / "liber_tasks"
SERVING = tuple(f"serving/{name}.py" for name in ("__init__", "bundle", "catalogue", "database", "fused", "gather",
                                                  "inputs", "kept", "past", "profiles"))  # fmt: skip
CARRIED = ("__init__.py", "errors.py", "backbones", "features", "fusion", *SERVING)
QUERIES = "queries/serving"
REQUIREMENTS = ("mlflow", "numpy", "pandas", "safetensors", "scipy", "torch")
DATABASE_REQUIREMENTS = ("cachetools", "psycopg2-binary", "SQLAlchemy")  # a model with its bundle needs none


def register(
    client: MlflowClient,
    settings: Settings,
    run_id: str,
    fitted: Fitted,
    dataset: Dataset,
    tags: Mapping[str, str],
    bundle: bool = False,
) -> str:
    """Log a model under its run, register it, describe it, and only then move the alias `challenger` to it.

    Args:
        client: of the tracking server and registry.
        settings: `model_name`, `mlflow_tracking_uri`; `database_url` for a bundle.
        run_id: run that trained it; it is FINISHED afterwards.
        fitted: the model.
        dataset: what it was trained on: its vocabulary, catalogue and counts travel with the model.
        tags: of the model version: versions, metrics.
        bundle: the features of all users travel with it too; it then scores without a database, as of now.

    Returns:
        The number of the model version.
    """
    name, uri = settings.model_name, settings.require("mlflow_tracking_uri")
    tags = {**tags, FEATURES: "bundle" if bundle else "database"}
    requirements = REQUIREMENTS if bundle else (*REQUIREMENTS, *DATABASE_REQUIREMENTS)
    with (
        tempfile.TemporaryDirectory() as folder,
        tracking.pointed_at(uri),
        mlflow.start_run(run_id=run_id, nested=True),
    ):
        saved = save(Path(folder) / "model", fitted, dataset)
        if bundle:
            from liber_tasks.serving.pack import pack

            pack(connect(settings), saved, Catalogue.load(saved), fitted.config, Versions.load(saved))
        logged = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(PACKAGE / "serving" / "pyfunc.py"),
            artifacts={"model": str(saved)},
            code_paths=[str(path) for path in _carry(Path(folder) / "code", fitted.config.backbone)],
            signature=signature(),
            input_example=example(dataset.vocabulary, fitted.config),
            pip_requirements=_pinned(requirements),
        )
        version = mlflow.register_model(logged.model_uri, name, tags=tags)
    return _publish(client, name, version.version, tags)


def take_over(client: MlflowClient, settings: Settings, runs: Sequence[str]) -> str | None:
    """Finish what one of the comparisons `runs` had registered before it died; the number of its version, if any."""
    for run in runs:
        of_it = f"name = '{settings.model_name}' AND tags.`{COMPARISON_RUN}` = '{run}'"
        for found in client.search_model_versions(of_it):
            return _publish(client, settings.model_name, found.version, found.tags)
    return None


def _publish(client: MlflowClient, name: str, version: str, tags: Mapping[str, str]) -> str:
    client.update_model_version(name, version, description=_description(name, tags))
    client.set_registered_model_alias(name, ALIAS, version)
    return str(version)


def find(client: MlflowClient, settings: Settings, alias: str) -> Any | None:
    """Registry entry of the model version behind an alias; None where there is none.

    Raises:
        ServiceUnavailable: MLflow does not answer.
    """
    from mlflow.exceptions import MlflowException

    with tracking.mlflow_errors(settings.require("mlflow_tracking_uri")):
        try:
            return client.get_model_version_by_alias(settings.model_name, alias)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
    return None


def champion(client: MlflowClient, settings: Settings) -> Any:
    """Registry entry of the model version behind the alias `champion`.

    Raises:
        LiberError: no model was promoted yet; says what to do.
        ServiceUnavailable: MLflow does not answer.
    """
    found = find(client, settings, CHAMPION)
    if found is None:
        step = "`liber promote`" if find(client, settings, CHALLENGER) else "`liber train`, then `liber promote`"
        raise LiberError(f"MLflow has no model {settings.model_name}@{CHAMPION} yet: run {step}.")
    return found


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


def save(folder: Path, fitted: Fitted, dataset: Dataset) -> Path:
    """Write weights and their meaning, without pickle; of the catalogue, what the model's options read.

    Args:
        folder: made here.
        fitted: the model.
        dataset: what it was trained on.

    Returns:
        The folder.
    """
    folder.mkdir()
    save_file(
        {key: value.contiguous() for key, value in fitted.model.state_dict().items()}, folder / "model.safetensors"
    )
    options = set(fitted.config.options)
    (folder / "config.json").write_text(json.dumps(fitted.config.to_dict(), indent=1), encoding="utf-8")
    (folder / VOCABULARY).write_text(dataset.vocabulary.to_json(), encoding="utf-8")
    version = dataset.version if fitted.config.reads_vectors else None
    versions = {name: getattr(version, name, None) for name in ("encoder_version", "knowledge_version")}
    (folder / VERSIONS).write_text(json.dumps(versions), encoding="utf-8")
    target = dataset.target.numpy()
    np.savez_compressed(
        folder / ITEMS,
        ids=np.array(dataset.item_ids, dtype=np.str_),
        items=dataset.items.numpy().astype(np.int32),
        genres=dataset.genres.numpy(),
        target=target if fitted.config.profile_size else target[:, :0],
        **view_arrays({name: view for name, view in dataset.views.items() if name in options}),  # type: ignore[arg-type]
    )
    if COUNTED & options:
        (folder / SNAPSHOT).write_bytes(dataset.snapshot.to_bytes())
    return folder


def _carry(folder: Path, backbone: str) -> list[Path]:
    """The part of this repository that the model runs, laid out likewise: a package `liber_tasks` and `sql`.

    Of a backbone from elsewhere its package, or the one file it is.
    """
    sources = [(PACKAGE / part, folder / "liber_tasks" / part) for part in CARRIED]
    sources.append((config.ROOT / "sql" / QUERIES, folder / "sql" / QUERIES))
    package = backbone_of(backbone).__module__.partition(".")[0]
    if package != PACKAGE.name:
        file = Path(import_module(package).__file__ or "")
        source = file.parent if file.name == "__init__.py" else file
        sources.append((source, folder / source.name))
    for source, target in sources:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return sorted(folder.iterdir())


def signature() -> ModelSignature:
    """What MLflow lets in and what comes out."""
    return ModelSignature(
        inputs=Schema(
            [ColSpec(_mlflow_type(column.kind), column.name, required=column.required) for column in COLUMNS]
        ),
        outputs=Schema(
            [
                ColSpec(DataType.double, "probability"),
                ColSpec(DataType.boolean, "known_user"),
                ColSpec(DataType.boolean, "known_item"),
            ]
        ),
    )


def _mlflow_type(kind: str) -> DataType | Array | AnyType:
    if kind.startswith("list of "):
        return Array(_mlflow_type(kind.removeprefix("list of ")))
    types: dict[str, DataType | AnyType] = {
        "text": DataType.string, "number": DataType.double, "anything": AnyType()
    }  # fmt: skip
    return types[kind]


def _pinned(names: Sequence[str]) -> list[str]:
    """Installed versions, without local parts ("+cpu") that the public index does not know."""
    return [f"{name}=={installed(name).split('+')[0]}" for name in names]


def _description(name: str, tags: Mapping[str, str]) -> str:
    facts = "\n".join(f"- {key.removeprefix('liber.')}: {value}" for key, value in sorted(tags.items()))
    columns = "\n".join(
        f"- `{column.name}` ({column.kind}{'' if column.required else ', optional'}): {column.meaning}"
        for column in COLUMNS
    )
    source = {
        "database": "Features are read from the LIBER database that `LIBER_READER_DATABASE_URL` names",
        "bundle": "Features of all users travel with the model, as of its registration",
    }[tags[FEATURES]]
    return (
        f"Click probability of (user, item) pairs with LIBER's long-term memory.\n\n"
        f'`mlflow.pyfunc.load_model("models:/{name}@{CHAMPION}").predict(frame)`, one row a pair:\n\n{columns}\n\n'
        f"{source}; a row may bring its own, all of it from before the moment that is predicted. "
        f"Trained with:\n\n{facts}\n"
    )
