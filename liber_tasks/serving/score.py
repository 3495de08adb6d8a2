"""Scores of candidates for a user by the registered champion."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import pandas as pd
from sqlalchemy import Engine

from liber_tasks.config import Settings, environment
from liber_tasks.errors import InputError, LiberError


def score(
    engine: Engine, settings: Settings, user_id: str, item_ids: Sequence[str], at: datetime | None = None
) -> list[dict[str, Any]]:
    """Click probabilities of candidates, the highest first.

    Args:
        engine: LIBER database; a read-only role is enough. A model that carries its features does not read it.
        settings: `model_name`, `mlflow_tracking_uri`.
        user_id: an unknown user is scored as a new one.
        item_ids: candidates.
        at: moment of the prediction, with time zone; only what is strictly earlier counts. None: now.

    Returns:
        One dictionary a candidate: `item_id`, `probability`, `model_version`.

    Raises:
        InputError: no item is given or one is unknown, or `at` has no time zone.
        LiberError: no champion is registered yet, or the database has no vectors of its versions; says what to do.
        ServiceUnavailable: MLflow or the database does not answer.
    """
    from liber_tasks.training import registry, tracking

    if not item_ids:
        raise InputError("There is no item to score: give at least one item id.")
    if at is not None and at.tzinfo is None:
        raise InputError(f"The moment {at.isoformat()} has no time zone: write one, e.g. {at.isoformat()}Z.")
    version = registry.champion(tracking.connect(settings), settings)
    uri = settings.require("mlflow_tracking_uri")
    dsn = engine.url.render_as_string(hide_password=False)
    frame = pd.DataFrame({"user_id": user_id, "item_id": list(item_ids), "time": at and at.isoformat()})
    with tracking.mlflow_errors(uri):
        model = _load(uri, settings.model_name, str(version.version), dsn)
    found = _predict(model, frame, dsn)
    if unknown := [item for item, known in zip(item_ids, found["known_item"], strict=True) if not known]:
        raise InputError(
            f"The catalogue has no item {', '.join(map(repr, unknown[:5]))}{' ...' if unknown[5:] else ''}: "
            "load it with `liber ingest --kind items`."
        )
    scored = [
        {"item_id": item, "probability": float(probability), "model_version": str(version.version)}
        for item, probability in zip(item_ids, found["probability"], strict=True)
    ]
    return sorted(scored, key=lambda row: -row["probability"])


def _predict(model: Any, frame: pd.DataFrame, dsn: str) -> pd.DataFrame:
    from mlflow.exceptions import MlflowException

    try:
        with environment({"LIBER_READER_DATABASE_URL": dsn}):  # where the model asks
            return model.predict(frame)
    except MlflowException as error:
        if isinstance(error.__cause__, LiberError):
            raise error.__cause__ from None
        raise


@lru_cache(maxsize=2)
def _load(uri: str, name: str, version: str, dsn: str) -> Any:
    """A model version, which never changes, as it reads one database: a process loads it once."""
    import mlflow

    from liber_tasks.training.tracking import pointed_at

    with pointed_at(uri):
        return mlflow.pyfunc.load_model(f"models:/{name}/{version}")
