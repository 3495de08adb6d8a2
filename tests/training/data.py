"""A small stream with something to learn: users like the items of one genre."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from psycopg2.extras import execute_values
from sqlalchemy import Engine

from liber_tasks.domain_pack import FOLDER
from liber_tasks.training.options import Options

START = datetime(2024, 1, 1, tzinfo=UTC)
GENRES = ("Action", "Comedy", "Drama")
USERS, ITEMS, EVENTS, DIMENSION = 24, 30, 24, 4
SMALL = Options(embedding_size=8, hidden=(16, 8), batch_size=64, max_epochs=2)


def fill(engine: Engine, *, k: int = 5, vectors: bool = True, plays: bool = False, seed: int = 0) -> None:
    """Users u0.., items i0.., times that often tie, partitions of k; 3 in 4 users have a vector of each."""
    rng = np.random.default_rng(seed)
    users = [(f"u{u}", json.dumps({"age": 20 + u, "gender": "MF"[u % 2], "occupation": f"o{u % 3}"} if u else {}))
             for u in range(USERS)]  # fmt: skip
    items = [(f"i{i}", f"Item {i}", json.dumps({"genres": [GENRES[i % 3]], "year": 1980 + i} if i else {}))
             for i in range(ITEMS)]  # fmt: skip
    insert(engine, "user_profile", ("user_id", "attributes"), users)
    insert(engine, "item", ("item_id", "title", "attributes"), items)
    user_keys, item_keys = keys(engine, "user"), keys(engine, "item")
    behaviors, partitions, found = [], [], []
    for u in range(USERS):
        minutes = np.sort(rng.integers(0, 40, EVENTS)) + 10 * u  # later users come later: unseen by training
        for n, minute in enumerate(minutes):
            item = int(rng.integers(ITEMS))
            likes = (item % 3 == u % 3) == (rng.random() < 0.9)
            at = START + timedelta(minutes=int(minute))
            kind, rating = ("play", None) if plays and n % 4 == 0 else ("rating", 5.0 if likes else 2.0)
            behaviors.append((user_keys[f"u{u}"], n + 1, item_keys[f"i{item}"], at, at, rating, kind, f"{u}-{n}"))
            if (n + 1) % k == 0:
                first = behaviors[-k]
                partitions.append((first[0], (n + 1) // k, n + 2 - k, n + 1, k, first[3], at, at, "count"))
                taste = np.eye(DIMENSION)[u % 3] + rng.normal(0, 0.1, DIMENSION)
                if u % 4 < 3:
                    found.append((first[0], (n + 1) // k, "e1", "k1", str((0.01 * taste).tolist())))
    insert(engine, "behavior", ("user_key", "seq", "item_key", "event_time", "effective_time", "rating", "kind",
                                "event_id"), behaviors)  # fmt: skip
    insert(engine, "behavior_partition", ("user_key", "partition_no", "first_seq", "last_seq", "n_behaviors",
                                          "started_at", "ended_at", "sealed_at", "reason"), partitions)  # fmt: skip
    if vectors:
        versions(engine, "e1", "k1")
        insert(engine, "interest_vector", VECTOR, found)


def as_plays(engine: Engine, share: float = 1.0) -> None:
    """Ratings become plays that say the same by the pack "music"; every other item has a duration, of 400 seconds.

    Args:
        engine: a database that `fill` has filled.
        share: of the ratings, the first of each ten.
    """
    with engine.begin() as connection:
        cursor = connection.connection.cursor()
        cursor.execute("UPDATE liber.item SET attributes = attributes || '{\"duration_seconds\": 400}' "
                       "WHERE item_key % 2 = 0")  # fmt: skip
        cursor.execute(
            "UPDATE liber.behavior SET kind = 'play', rating = NULL, play_seconds = "
            "(CASE WHEN item_key %% 2 = 0 THEN 200 ELSE 90 END) + (CASE WHEN rating > 3 THEN 1 ELSE -1 END) "
            "WHERE rating IS NOT NULL AND seq %% 10 < 10 * %s", (share,),
        )  # fmt: skip


def pack_with(folder: Path, feedback: str) -> str:
    """Path of the movies' pack with that rule."""
    file = folder / "shop.toml"
    file.write_text(f"{(FOLDER / 'movies.toml').read_text()}\n[feedback]\n{feedback}\n")
    return str(file)


VECTOR = ("user_key", "partition_no", "encoder_version", "knowledge_version", "vector")


def versions(engine: Engine, encoder: str, knowledge: str, dimension: int = DIMENSION) -> None:
    """An encoder and a knowledge version."""
    insert(engine, "encoder", ("encoder_version", "model", "pooling", "dtype", "dimension", "pca_sha256", "pca",
                               "fitted_texts", "explained_variance"),
           [(encoder, "bert", "mean", "float32", dimension, "x", b"", 1, 1.0)])  # fmt: skip
    insert(engine, "knowledge_version", ("knowledge_version", "model", "summary_prompt", "shift_prompt", "parameters"),
           [(knowledge, "llm", "summary/1", "shift/2", "{}")])  # fmt: skip


def insert(engine: Engine, table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Insert rows."""
    with engine.begin() as connection:
        statement = f"INSERT INTO liber.{table} ({', '.join(columns)}) VALUES %s"  # noqa: S608
        execute_values(connection.connection.cursor(), statement, rows, page_size=1000)


def keys(engine: Engine, table: str) -> dict[str, int]:
    """External id to key, of `user` or `item`."""
    source = {"user": "user_profile", "item": "item"}[table]
    with engine.connect() as connection:
        cursor = connection.connection.cursor()
        cursor.execute(f"SELECT {table}_id, {table}_key FROM liber.{source}")  # noqa: S608
        return dict(cursor.fetchall())
