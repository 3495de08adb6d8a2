"""The columns a served model reads, and their way into a batch. Travels with the model."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pandas as pd
import torch

from liber_tasks.backbones.batch import Batch
from liber_tasks.backbones.vocabulary import Vocabulary, sign
from liber_tasks.errors import InputError
from liber_tasks.fusion.model import ModelConfig


class Column(NamedTuple):
    """A column of the input: one row is one (user, item) pair."""

    name: str
    kind: str  # text, number, list of ...
    required: bool
    meaning: str


COLUMNS = (
    Column("user_id", "text", True, "external id; an unknown one is a new user"),
    Column("item_id", "text", True, "external id of the candidate; an unknown one is a new item"),
    Column("age", "number", False, "years"),
    Column("gender", "text", False, "as in training, e.g. M"),
    Column("occupation", "text", False, "as in training, e.g. student"),
    Column("genres", "list of text", False, "of the candidate"),
    Column("year", "number", False, "of the candidate's release"),
    Column("history_item_ids", "list of text", True, "the user's behaviours, oldest first; may be empty"),
    Column("history_ratings", "list of number", True, "their ratings, 1 to 5; NaN for a behaviour without"),
    Column("partition_vectors", "list of list of number", True, "r_1..r_j of sealed partitions, oldest first; or []"),
)


def encode(frame: pd.DataFrame, vocabulary: Vocabulary, config: ModelConfig) -> Batch:
    """Rows of `COLUMNS` as a batch.

    Args:
        frame: one row a pair; optional columns and values may be missing.
        vocabulary: of the model.
        config: of the model: lengths of history, memory and vectors.

    Raises:
        InputError: a column is missing, or a row's lists do not fit; names row and column.
    """
    missing = [column.name for column in COLUMNS if column.required and column.name not in frame]
    if missing:
        raise InputError(f"The input lacks the column {missing[0]!r}: give {', '.join(c.name for c in COLUMNS)}.")
    columns = {column.name: _values(frame, column.name) for column in COLUMNS}
    rows = range(len(frame))
    history, entries = _histories(columns["history_item_ids"], columns["history_ratings"], config.max_history)
    memory = _shared(columns["partition_vectors"], lambda value, row: _vectors(value, row, config))
    user_fields = zip(*(columns[name] for name in ("user_id", "age", "gender", "occupation")), strict=True)
    memory_size = max((len(vectors) for vectors in memory), default=0) if config.memory == "liber" else 0
    padded = torch.zeros(len(frame), memory_size, config.vector_size)
    memory_mask = torch.zeros(len(frame), memory_size, dtype=torch.bool)
    longest = max((len(places) for places in history), default=0)
    places = torch.zeros(len(frame), longest, dtype=torch.int64)
    history_mask = torch.zeros(len(frame), longest, dtype=torch.bool)
    for row in rows:
        if history[row]:
            places[row, -len(history[row]) :] = torch.tensor(history[row])
            history_mask[row, -len(history[row]) :] = True
        if memory_size and len(memory[row]):
            padded[row, -len(memory[row]) :] = memory[row]
            memory_mask[row, -len(memory[row]) :] = True
    genres = [vocabulary.genre_columns(_as_list(value)) for value in columns["genres"]]
    return Batch(
        user=torch.tensor([vocabulary.user_row(*fields) for fields in user_fields]).reshape(-1, 4),
        item=torch.tensor(
            [vocabulary.item_row(item, year) for item, year in zip(columns["item_id"], columns["year"], strict=True)]
        ).reshape(-1, 2),
        genres=_genre_weights(genres, len(vocabulary.genres)),
        history=places,
        history_mask=history_mask,
        entry_item=torch.tensor([vocabulary.items.get(item, 0) for item, _ in entries], dtype=torch.int64),
        entry_genres=_genre_weights([vocabulary.catalogue.get(i, ()) for i, _ in entries], len(vocabulary.genres)),
        entry_sign=torch.tensor([mark for _, mark in entries], dtype=torch.int64),
        memory=padded,
        memory_mask=memory_mask,
    )


def example(vocabulary: Vocabulary, config: ModelConfig) -> pd.DataFrame:
    """Two invented rows: a user with history and one partition, and a new one. Nobody's real data."""
    item, genres = next(iter(vocabulary.items)), list(vocabulary.genres)[:2]
    return pd.DataFrame(
        {
            "user_id": ["example-1", "example-2"],
            "item_id": [item, "example-item"],
            "age": [30.0, math.nan],
            "gender": [next(iter(vocabulary.genders), "F"), None],
            "occupation": [next(iter(vocabulary.occupations), "student"), None],
            "genres": [genres, []],
            "year": [1995.0, math.nan],
            "history_item_ids": [[item, item], []],
            "history_ratings": [[5.0, 2.0], []],
            "partition_vectors": [[[0.1] * config.vector_size], []],
        }
    )


def _values(frame: pd.DataFrame, name: str) -> list[Any]:
    """A column as plain Python values; missing ones and missing columns are None."""
    if name not in frame:
        return [None] * len(frame)
    return [None if isinstance(value, float) and math.isnan(value) else value for value in frame[name].tolist()]


def _as_list(value: Any) -> list[Any]:
    """A list from a list, an array or None."""
    return [] if value is None else list(value)


def _shared(values: Sequence[Any], convert: Callable[[Any, int], Any]) -> list[Any]:
    """`convert(value, row)`, once for rows that hold the very same object: the candidates of one user."""
    seen: dict[int, Any] = {}
    return [
        seen[id(value)] if id(value) in seen else seen.setdefault(id(value), convert(value, row))
        for row, value in enumerate(values)
    ]


def _histories(items: list[Any], ratings: list[Any], at_most: int) -> tuple[list[list[int]], list[tuple[str, int]]]:
    """Places of each row's latest behaviours among the distinct (item, sign) entries, and the entries."""
    entries: dict[tuple[str, int], int] = {}
    seen: dict[tuple[int, int], list[int]] = {}
    places = []
    for row, (ids, stars) in enumerate(zip(items, ratings, strict=True)):
        key = (id(ids), id(stars))
        if key not in seen:
            ids, stars = _as_list(ids), _as_list(stars)
            if len(ids) != len(stars):
                raise InputError(
                    f"Row {row}: history_item_ids has {len(ids)} values, history_ratings {len(stars)}: "
                    "give one rating (or NaN) for each item."
                )
            pairs = [(str(item), sign(rating)) for item, rating in zip(ids, stars, strict=True)][-at_most:]
            seen[key] = [entries.setdefault(pair, len(entries)) for pair in pairs]
        places.append(seen[key])
    return places, list(entries)


def _vectors(value: Any, row: int, config: ModelConfig) -> torch.Tensor:
    """(P, d) float32 of a row's latest partitions; the model without memory reads none."""
    vectors = _as_list(value)[-config.max_partitions :]
    if config.memory == "none" or not vectors:
        return torch.zeros(0, config.vector_size)
    for vector in vectors:
        if len(vector) != config.vector_size:
            raise InputError(
                f"Row {row}: partition_vectors holds a vector of {len(vector)} numbers, the model reads "
                f"{config.vector_size}: take those of the model's own encoder_version (a tag of the model)."
            )
    return torch.tensor([list(vector) for vector in vectors], dtype=torch.float32)


def _genre_weights(columns: Sequence[Sequence[int]], width: int) -> torch.Tensor:
    """(n, width) float32: 1 / number of genres at each of a row's columns."""
    weights = torch.zeros(len(columns), width)
    for row, own in enumerate(columns):
        weights[row, list(own)] = 1 / max(len(own), 1)
    return weights
