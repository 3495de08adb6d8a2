"""The columns of the served model, from the database, as of a moment (paper, section 3.5: vectors are prestored)."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import Engine

from liber_tasks.backbones.vocabulary import MAX_HISTORY, MAX_PARTITIONS, number
from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError


def features(
    engine: Engine,
    user_ids: Sequence[str],
    item_ids: Sequence[str],
    at: datetime | None = None,
    *,
    encoder_version: str | None = None,
    knowledge_version: str | None = None,
    max_history: int = MAX_HISTORY,
    max_partitions: int = MAX_PARTITIONS,
) -> pd.DataFrame:
    """Rows of `serving.inputs.COLUMNS` for the pairs (user_ids[i], item_ids[i]).

    Args:
        engine: LIBER database; a read-only role is enough.
        user_ids: external ids; an unknown user has no attributes, history or vectors.
        item_ids: external ids, as many.
        at: only what happened strictly before it is read, with time zone; None: everything.
        encoder_version, knowledge_version: of the vectors, as tagged on the model; None: those with the most vectors.
        max_history, max_partitions: the latest that are read; not more than the model was trained with are used.

    Raises:
        InputError: the lists differ in length, an item is unknown, or `at` has no time zone.
    """
    if len(user_ids) != len(item_ids):
        raise InputError(f"There are {len(user_ids)} user ids and {len(item_ids)} item ids: give pairs.")
    if at is not None and at.tzinfo is None:
        raise InputError(f"The moment {at.isoformat()} has no time zone: write one, e.g. {at.isoformat()}Z.")
    with database_errors(), engine.connect() as connection:
        if encoder_version is None or knowledge_version is None:
            asked = {"knowledge_version": knowledge_version}
            largest = connection.execute(query("training/vector_version"), asked).mappings().one_or_none()
            if largest is not None:
                encoder_version = encoder_version or largest["encoder_version"]
                knowledge_version = knowledge_version or largest["knowledge_version"]
        parameters = {
            "user_ids": sorted(set(user_ids)),
            "at": at or "infinity",
            "encoder_version": encoder_version,
            "knowledge_version": knowledge_version,
            "max_history": max_history,
            "max_partitions": max_partitions,
        }
        users = {row["user_id"]: dict(row) for row in connection.execute(query("serving/users"), parameters).mappings()}
        wanted = {"item_ids": sorted(set(item_ids))}
        items = {row["item_id"]: dict(row) for row in connection.execute(query("serving/items"), wanted).mappings()}
    unknown = [item for item in dict.fromkeys(item_ids) if item not in items]
    if unknown:
        raise InputError(
            f"The catalogue has no item {', '.join(map(repr, unknown[:5]))}{' ...' if unknown[5:] else ''}: "
            "load it with `liber ingest --kind items`."
        )
    nobody: dict[str, Any] = {"age": None, "gender": None, "occupation": None} | {
        name: [] for name in ("item_ids", "ratings", "vectors")
    }
    return pd.DataFrame(
        [_row(user, item, users.get(user, nobody), items[item]) for user, item in zip(user_ids, item_ids, strict=True)]
    )


def _row(user_id: str, item_id: str, user: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    genres = item["genres"]
    return {
        "user_id": user_id,
        "item_id": item_id,
        "age": _number_or_nan(user["age"]),
        "gender": _text(user["gender"]),
        "occupation": _text(user["occupation"]),
        "genres": [str(name) for name in genres] if isinstance(genres, list) else [],
        "year": _number_or_nan(item["year"]),
        "history_item_ids": user["item_ids"],
        "history_ratings": user["ratings"],
        "partition_vectors": user["vectors"],
    }


def _number_or_nan(value: object) -> float:
    found = number(value)
    return math.nan if found is None else found


def _text(value: object) -> str | None:
    return None if value is None else str(value)
