"""Scores of candidates for a user by the registered champion."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from liber_tasks.serving.features import features


def score(
    engine: Engine, settings: Settings, user_id: str, item_ids: Sequence[str], at: datetime | None = None
) -> list[dict[str, Any]]:
    """Click probabilities of candidates, the highest first.

    Args:
        engine: LIBER database; a read-only role is enough.
        settings: `model_name`, `mlflow_tracking_uri`.
        user_id: an unknown user is scored as a new one.
        item_ids: candidates.
        at: moment of the prediction, with time zone; only what is strictly earlier counts. None: all the user's past.

    Returns:
        One dictionary a candidate: `item_id`, `probability`, `model_version`.

    Raises:
        InputError: no item is given or one is unknown.
        LiberError: no champion is registered yet; says to run `liber train`.
        ServiceUnavailable: MLflow or the database does not answer.
    """
    from liber_tasks.training import registry, tracking

    if not item_ids:
        raise InputError("There is no item to score: give at least one item id.")
    version = registry.champion(tracking.connect(settings), settings)
    frame = features(
        engine,
        [user_id] * len(item_ids),
        item_ids,
        at,
        encoder_version=version.tags.get("liber.encoder_version"),
        knowledge_version=version.tags.get("liber.knowledge_version"),
    )
    uri = settings.require("mlflow_tracking_uri")
    with tracking.mlflow_errors(uri):
        model = _load(uri, settings.model_name, str(version.version))
    probabilities = model.predict(frame)["probability"]
    scored = [
        {"item_id": item, "probability": float(probability), "model_version": str(version.version)}
        for item, probability in zip(item_ids, probabilities, strict=True)
    ]
    return sorted(scored, key=lambda row: -row["probability"])


@lru_cache(maxsize=2)
def _load(uri: str, name: str, version: str) -> Any:
    """A model version; it never changes, so a process loads it once."""
    import mlflow

    from liber_tasks.training.tracking import pointed_at

    with pointed_at(uri):
        return mlflow.pyfunc.load_model(f"models:/{name}/{version}")
