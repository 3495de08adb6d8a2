"""Write the bundle: what the model's look-ups would find in the database, for every user, into files."""

import json
from pathlib import Path

import numpy as np
from sqlalchemy import Engine

from liber_tasks.binary_copy import copy_columns
from liber_tasks.db import database_errors, query
from liber_tasks.features.responses import responses
from liber_tasks.fusion.model import ModelConfig
from liber_tasks.serving.bundle import BUNDLE, USERS
from liber_tasks.serving.catalogue import Catalogue, Versions
from liber_tasks.serving.past import behaviors_read, reads_partitions

EVENTS = {"user": ">i8", "seq": ">i8", "item": ">i8", "time": ">i8", "rating": ">f4", "is_sample": "?"}
PARTITIONS = {"user": ">i8", "partition_no": ">i4", "first_seq": ">i8", "last_seq": ">i8", "sealed_at": ">i8"}


def pack(engine: Engine, folder: Path, catalogue: Catalogue, config: ModelConfig, versions: Versions) -> int:
    """Write users, their latest behaviours, vectors and closed partitions, from one snapshot of the database.

    Of each user the behaviours are kept that a prediction after now would read: the latest `behaviors_read(config)`,
    and all of the latest `config.max_partitions` partitions where the model reads them.

    Args:
        engine: LIBER database.
        folder: of the model's files.
        catalogue: the model's; behaviours are kept as its rows.
        config: of the model.
        versions: of the vectors.

    Returns:
        Number of users.
    """
    with database_errors(), engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        users = connection.execute(query("training/users")).all()
        items = connection.execute(query("training/items")).all()
        events = copy_columns(connection, "training/copy_behaviors", EVENTS, {"feedback": config.feedback})
        partitions = copy_columns(connection, "training/copy_partitions", PARTITIONS, {})
        none = np.zeros(0, dtype=np.int64)
        vectors: dict[str, np.ndarray] = {"user": none, "sealed_at": none, "vector": np.zeros((0, 0), np.float32)}
        if config.reads_vectors:
            fields = {"user": ">i8", "no": ">i4", "sealed_at": ">i8", "vector": f"vector{config.vector_size}"}
            vectors = copy_columns(connection, "training/copy_vectors", fields, vars(versions))
    user_keys = np.array([user.user_key for user in users], dtype=np.int64)  # ascending, as in every table here
    item_keys = np.array([item.item_key for item in items], dtype=np.int64)
    rows = catalogue.rows([item.item_id for item in items])
    partition = _partition_of(events, partitions)
    kept = _latest(events["user"], behaviors_read(config))
    if reads_partitions(config):
        recent = _latest(partitions["user"], config.max_partitions)
        kept |= (partition >= 0) & recent[partition]
    else:
        partition[:] = -1
    arrays = {
        "user": np.array([catalogue.vocabulary.user_row(u.user_id, u.age, u.gender, u.occupation) for u in users])
        .reshape(-1, 4).astype(np.int32),
        "events": _offsets(user_keys, events["user"][kept]),
        "item": rows[np.searchsorted(item_keys, events["item"][kept])].astype(np.int32),
        "response": responses(events["rating"][kept]).astype(np.int8),
        "time": events["time"][kept],
        "partition": partition[kept].astype(np.int64),
        "partitions": _offsets(user_keys, partitions["user"]),
        "sealed_at": partitions["sealed_at"],
        "vectors": _offsets(user_keys, vectors["user"]),
        "vector_at": vectors["sealed_at"],
        "vector": vectors["vector"],
    }  # fmt: skip
    np.savez_compressed(folder / BUNDLE, **arrays)
    (folder / USERS).write_text(json.dumps([user.user_id for user in users], ensure_ascii=False), encoding="utf-8")
    return len(users)


def _latest(user: np.ndarray, at_most: int) -> np.ndarray:
    """Which rows, by user and time, are among the last `at_most` of their user, (n,) bool."""
    end = np.searchsorted(user, user, side="right")
    return end - np.arange(len(user)) <= at_most


def _offsets(keys: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Where the rows of each user begin, and the end of all, (users + 1,) int64."""
    return np.append(np.searchsorted(owner, keys), len(owner)).astype(np.int64)


def _partition_of(events: dict[str, np.ndarray], partitions: dict[str, np.ndarray]) -> np.ndarray:
    """Row of the partition each behaviour lies in, (N,) int64; -1: in none. A user's partitions do not overlap."""
    if not len(partitions["user"]):
        return np.full(len(events["user"]), -1)
    order = np.lexsort((partitions["first_seq"], partitions["user"]))
    owner, first = partitions["user"][order], partitions["first_seq"][order]
    bound = int(max(events["seq"].max(initial=0), partitions["last_seq"].max())) + 2
    place = np.searchsorted(owner * bound + first, events["user"] * bound + events["seq"], side="right") - 1
    row = order[np.maximum(place, 0)]
    inside = (place >= 0) & (partitions["user"][row] == events["user"]) & (events["seq"] <= partitions["last_seq"][row])
    return np.where(inside, row, -1)
