"""Users and catalogue: read once, encoded by a vocabulary fitted on what trains."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection

from liber_tasks.backbones.vocabulary import Vocabulary, lustrum
from liber_tasks.db import query


@dataclass(frozen=True)
class Tables:
    """Profiles in the order of their keys; row r of the encoded tables is entry r - 1 here, row 0 is "unknown"."""

    user_keys: np.ndarray  # (users,) int64, ascending
    users: Sequence[dict[str, Any]]  # user_id, age, gender, occupation
    item_keys: np.ndarray  # (items,) int64, ascending
    items: Sequence[dict[str, Any]]  # item_id, genres, year

    def user_rows(self, keys: np.ndarray) -> np.ndarray:
        """Rows of user keys, (n,) int64."""
        return _rows(self.user_keys, keys)

    def item_rows(self, keys: np.ndarray) -> np.ndarray:
        """Rows of item keys, (n,) int64."""
        return _rows(self.item_keys, keys)

    def encode(self, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tables of indexes: users (U, 4) int64, items (C, 2) int64, genres (C, G) as in Batch; row 0 is all zero."""
        users = np.zeros((len(self.users) + 1, 4), dtype=np.int64)
        for row, user in enumerate(self.users, 1):
            users[row] = vocabulary.user_row(user["user_id"], user["age"], user["gender"], user["occupation"])
        items = np.zeros((len(self.items) + 1, 2), dtype=np.int64)
        genres = np.zeros((len(self.items) + 1, len(vocabulary.genres)), dtype=np.float32)
        for row, item in enumerate(self.items, 1):
            items[row] = vocabulary.item_row(item["item_id"], item["year"])
            columns = vocabulary.catalogue[item["item_id"]]
            genres[row, list(columns)] = 1 / max(len(columns), 1)
        return users, items, genres


def read_tables(connection: Connection) -> Tables:
    """Users and catalogue with their attributes."""
    users = connection.execute(query("training/users")).mappings().all()
    items = connection.execute(query("training/items")).mappings().all()
    return Tables(
        np.array([user["user_key"] for user in users], dtype=np.int64),
        [dict(user) for user in users],
        np.array([item["item_key"] for item in items], dtype=np.int64),
        [dict(item) for item in items],
    )


def fit_vocabulary(tables: Tables, user_rows: np.ndarray, item_rows: np.ndarray) -> Vocabulary:
    """Vocabulary of the users and items in `user_rows` and `item_rows`: those with a behaviour before validation."""
    users = [tables.users[row - 1] for row in user_rows if row > 0]
    items = [tables.items[row - 1] for row in item_rows if row > 0]
    genres = _index((name for item in items for name in _names(item["genres"])), first=0)
    bare = Vocabulary(
        users=_index(user["user_id"] for user in users),
        items=_index(item["item_id"] for item in items),
        genders=_index(str(user["gender"]) for user in users if user["gender"] is not None),
        occupations=_index(str(user["occupation"]) for user in users if user["occupation"] is not None),
        lustra=_index(key for item in items if (key := lustrum(item["year"]))),
        genres=genres,
        catalogue={},
    )
    catalogue = {item["item_id"]: bare.genre_columns(item["genres"]) for item in tables.items}
    return Vocabulary(**{**vars(bare), "catalogue": catalogue})


def _names(genres: object) -> list[str]:
    return [str(name) for name in genres] if isinstance(genres, list) else []


def _index(values: Iterable[str], first: int = 1) -> dict[str, int]:
    return {value: number for number, value in enumerate(sorted(set(values)), first)}


def _rows(sorted_keys: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """1 + place of each key; 0 where it is missing."""
    if not len(sorted_keys):
        return np.zeros(len(keys), dtype=np.int64)
    place = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.where(sorted_keys[place] == keys, place + 1, 0)
