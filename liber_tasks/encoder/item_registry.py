"""Frozen weightings of words in MLflow: versions of `liber-item-encoder`, `encoder.json` and `lexical.npz` each."""

from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.db import database_errors, query
from liber_tasks.encoder.registered import add, find
from liber_tasks.errors import InputError
from liber_tasks.mlflow_client import connected

NAME = "liber-item-encoder"
LEXICAL = "lexical.npz"


def register(engine: Engine, settings: Settings, encoder_version: str) -> str:
    """Put a frozen weighting of words into MLflow unless it is there; a second call adds nothing.

    Args:
        engine: LIBER database.
        settings: `mlflow_tracking_uri`.
        encoder_version: of a lexical row in `liber.item_encoder`.

    Returns:
        `models:/liber-item-encoder/NUMBER`.

    Raises:
        InputError: MLFLOW_TRACKING_URI is not set, or there is no such encoder.
        ServiceUnavailable: MLflow does not answer.
    """
    with connected(settings) as client:
        number = find(client, NAME, encoder_version)
        if number is None:
            with database_errors(), engine.connect() as connection:
                found = connection.execute(query("encoder/item_frozen"), {"encoder_version": encoder_version})
                row = found.mappings().one_or_none()
            if row is None:
                raise InputError(f"There is no item encoder {encoder_version!r}: run `liber encode --items` first.")
            entries = {key: value for key, value in row.items() if key != "lexical"}
            description = "LIBER's frozen weightings of the words that describe items."
            number = add(client, NAME, description, entries, {LEXICAL: bytes(row["lexical"])}, {})
    return f"models:/{NAME}/{number}"
