"""What a user had done before a moment, in the terms of one model. Travels with the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from liber_tasks.errors import InputError
from liber_tasks.features.responses import responses
from liber_tasks.fusion.model import ModelConfig
from liber_tasks.fusion.options import READ_PARTITIONS
from liber_tasks.serving.catalogue import Catalogue
from liber_tasks.serving.inputs import Rows, as_list, numbers

NEW_USER = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class UserPast:
    """Behaviours, vectors and closed partitions strictly before a moment, oldest first. Each is itself and no other.

    Attributes:
        user: row of `Batch.user`.
        known: whether anything is stored of the user.
        item, response: (n,) int64, the history: rows of the catalogue, and responses as in `Batch.entry_response`.
        vectors: (V, d) float32.
        partitions: Q, number of closed partitions.
        partition_item, partition_response, partition: (m,) int64, behaviours of closed partitions, and which of the Q.
    """

    user: tuple[int, ...]
    known: bool
    item: np.ndarray
    response: np.ndarray
    vectors: np.ndarray
    partitions: int
    partition_item: np.ndarray
    partition_response: np.ndarray
    partition: np.ndarray


class Source(Protocol):
    """Where pasts of users and attributes of new items come from."""

    def users(self, asked: Sequence[tuple[str, Any]]) -> list[UserPast]:
        """The past of each (user id, moment); moment None: now."""
        ...

    def items(self, item_ids: Sequence[str]) -> dict[str, tuple[Any, Any]]:
        """(genres, year) of those that are stored."""
        ...


def behaviors_read(config: ModelConfig) -> int:
    """How many of a user's latest behaviours the model reads."""
    return max(config.max_history, config.max_past)


def reads_partitions(config: ModelConfig) -> bool:
    """Whether the model reads behaviours of closed partitions."""
    return bool(READ_PARTITIONS & set(config.options))


def nothing(user: tuple[int, ...], vector_size: int, known: bool = False) -> UserPast:
    """The past of somebody who has none."""
    empty = np.zeros(0, dtype=np.int64)
    return UserPast(user, known, empty, empty, np.zeros((0, vector_size), np.float32), 0, empty, empty, empty)


def from_row(rows: Rows, row: int, catalogue: Catalogue, config: ModelConfig) -> UserPast:
    """The past that a row brings itself.

    Raises:
        InputError: its lists do not fit together or the model; names row and column.
    """
    others = {name: values[row] for name, values in rows.others.items()}
    item, response = _rated(others["history_item_ids"], others["history_ratings"], row, "history", catalogue)
    partition_item, partition_response, partition, closed = _partitions(others, row, catalogue, config)
    user = catalogue.vocabulary.user_row(rows.user_ids[row], None, None, None)
    return UserPast(
        tuple(user), user[0] > 0, item, response, _vectors(others["partition_vectors"], row, config),
        closed, partition_item, partition_response, partition,
    )  # fmt: skip


def _rated(items: Any, ratings: Any, row: int, what: str, catalogue: Catalogue) -> tuple[np.ndarray, np.ndarray]:
    ids, stars = as_list(items), as_list(ratings)
    if len(ids) != len(stars):
        raise InputError(
            f"Row {row}: {what}_item_ids has {len(ids)} values, {what}_ratings {len(stars)}: "
            "give one rating (or NaN) for each item."
        )
    return catalogue.rows([str(item) for item in ids]), responses(numbers(stars, row, f"{what}_ratings"))


def _partitions(
    others: dict[str, Any], row: int, catalogue: Catalogue, config: ModelConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    empty = np.zeros(0, dtype=np.int64)
    if not reads_partitions(config):
        return empty, empty, empty, 0
    if others["partition_item_ids"] is None:
        raise InputError(
            f"Row {row}: it brings its own history but no partition_item_ids, which this model reads: "
            "give them with partition_ratings, or [] for a user without a sealed partition."
        )
    items, ratings = as_list(others["partition_item_ids"]), as_list(others["partition_ratings"])
    if len(items) != len(ratings):
        raise InputError(f"Row {row}: partition_item_ids has {len(items)} lists, partition_ratings {len(ratings)}.")
    parts = [_rated(of, stars, row, "partition", catalogue) for of, stars in zip(items, ratings, strict=True)]
    lengths = [len(item) for item, _ in parts]
    return (
        np.concatenate([empty, *(item for item, _ in parts)]),
        np.concatenate([empty, *(response for _, response in parts)]),
        np.repeat(np.arange(len(parts)), lengths),
        len(parts),
    )


def _vectors(value: Any, row: int, config: ModelConfig) -> np.ndarray:
    """(V, d) float32 of a row; a model without memory reads none."""
    if not config.reads_vectors:
        return np.zeros((0, 0), dtype=np.float32)
    if value is None:
        raise InputError(
            f"Row {row}: it brings its own history but no partition_vectors, which this model reads: "
            "give them, or [] for a user without a sealed partition."
        )
    vectors = as_list(value)[-config.max_partitions :]
    for vector in vectors:
        if len(vector) != config.vector_size:
            raise InputError(
                f"Row {row}: partition_vectors holds a vector of {len(vector)} numbers, the model reads "
                f"{config.vector_size}: take those of the model's own encoder_version (a tag of the model)."
            )
    found = [numbers(vector, row, "partition_vectors") for vector in vectors]
    return np.array(found, dtype=np.float32).reshape(-1, config.vector_size)
