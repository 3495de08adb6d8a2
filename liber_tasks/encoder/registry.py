"""Frozen encoders in MLflow: one version of the registered model `liber-encoder` for each encoder version.

The database is where encoders live; MLflow keeps a copy that travels with the models trained on its vectors. A version
holds `encoder.json` (what a vector depends on, and what the PCA was fitted on) and `pca.npz`; the BERT's weights stay
where they are and are named by digest. mlflow is imported where it is used.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.db import database_errors, query
from liber_tasks.encoder.registered import FOLDER, IDENTITY, TAG, add, find
from liber_tasks.errors import InputError, LiberError
from liber_tasks.mlflow_client import connected

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from liber_tasks.encoder.pca import Projection

NAME = "liber-encoder"
PCA = "pca.npz"


@dataclass(frozen=True)
class RegisteredEncoder:
    """A frozen encoder as MLflow keeps it.

    Attributes:
        encoder_version: its name in the database.
        model: name and digest of the BERT, as `knowledge.model_identity` gives them.
        dtype: number format that the BERT computed in.
        pooling: how token vectors became one.
        dimension: length of r_j, two halves of the PCA's.
        fitted_texts: texts the PCA was fitted on.
        fitted_before: of partitions sealed strictly before this event time; None: of all there were.
        knowledge_version: of those texts; None if nobody noted it.
        explained_variance: share of their variance that the PCA keeps.
        projection: the PCA.
    """

    encoder_version: str
    model: str
    dtype: str
    pooling: str
    dimension: int
    fitted_texts: int
    fitted_before: datetime | None
    knowledge_version: str | None
    explained_variance: float
    projection: "Projection"


def register(engine: Engine, settings: Settings, encoder_version: str) -> str:
    """Put a frozen encoder into MLflow unless it is there.

    A second call adds nothing. What a call left unfinished (a run without a version) is passed over by the next one.

    Args:
        engine: LIBER database.
        settings: `mlflow_tracking_uri`.
        encoder_version: of a row in `liber.encoder`.

    Returns:
        `models:/liber-encoder/NUMBER`.

    Raises:
        InputError: MLFLOW_TRACKING_URI is not set, or there is no such encoder.
        ServiceUnavailable: MLflow does not answer.
    """
    with connected(settings) as client:
        number = find(client, NAME, encoder_version)
        if number is None:
            with database_errors(), engine.connect() as connection:
                row = connection.execute(query("encoder/frozen"), {"encoder_version": encoder_version}).one_or_none()
            if row is None:
                raise InputError(f"There is no encoder version {encoder_version!r}: run `liber encode` first.")
            number = _add(client, dict(row._mapping))
    return f"models:/{NAME}/{number}"


def load_encoder(settings: Settings, encoder_version: str) -> RegisteredEncoder:
    """Read a frozen encoder back from MLflow.

    Args:
        settings: `mlflow_tracking_uri`.
        encoder_version: as in the database.

    Raises:
        InputError: MLFLOW_TRACKING_URI is not set, or MLflow has no such encoder.
        LiberError: what MLflow keeps is not what was put there.
        ServiceUnavailable: MLflow does not answer.
    """
    from liber_tasks.encoder.pca import Projection

    with connected(settings) as client, TemporaryDirectory(prefix="liber-encoder-") as folder:
        number = find(client, NAME, encoder_version)
        if number is None:
            raise InputError(f"MLflow has no version of {NAME} tagged {TAG} = {encoder_version}: run `liber encode`.")
        run_id = client.get_model_version(NAME, number).run_id
        kept = Path(client.download_artifacts(str(run_id), FOLDER, folder))
        entries: dict[str, Any] = json.loads((kept / IDENTITY).read_text(encoding="utf-8"))
        projection = Projection.from_bytes((kept / PCA).read_bytes(), entries["explained_variance"])
    if entries.pop("pca_sha256") != projection.sha256 or entries["encoder_version"] != encoder_version:
        raise LiberError(f"models:/{NAME}/{number} is damaged: delete it and run `liber encode` to put it there again.")
    before = entries.pop("fitted_before")
    return RegisteredEncoder(
        **entries, fitted_before=before and datetime.fromisoformat(before), projection=projection
    )  # fmt: skip


def _add(client: "MlflowClient", row: dict[str, Any]) -> str:
    from liber_tasks.encoder.pca import Projection

    stored = bytes(row.pop("pca"))
    row["knowledge_version"] = Projection.from_bytes(stored, row["explained_variance"]).fitted_on
    tags = {"liber.explained_variance": f"{row['explained_variance']:.4f}"}
    return add(client, NAME, "LIBER's frozen text encoders: BERT by digest, and its PCA.", row, {PCA: stored}, tags)
