"""The rows a served model reads, checked. Travels with the model."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from liber_tasks.backbones.vocabulary import Vocabulary
from liber_tasks.errors import InputError
from liber_tasks.fusion.model import ModelConfig


class Column(NamedTuple):
    """A column of the input: one row is one (user, item) pair."""

    name: str
    kind: str  # text, number, anything, list of ...
    required: bool
    meaning: str


COLUMNS = (
    Column("user_id", "text", True, "external id; an unknown one is a new user"),
    Column("item_id", "text", True, "external id of the candidate; an unknown one is a new item"),
    Column("time", "anything", False, "moment of the prediction, ISO 8601 with zone; only what is strictly earlier "
           "counts; empty: now"),
    Column("context", "anything", False, "reserved for features of the moment; present models read none"),
    Column("age", "number", False, "years; empty: as stored"),
    Column("gender", "text", False, "as in training, e.g. M; empty: as stored"),
    Column("occupation", "text", False, "as in training, e.g. student; empty: as stored"),
    Column("genres", "list of text", False, "of the candidate; empty: as stored"),
    Column("year", "number", False, "of the candidate's release; empty: as stored"),
    Column("history_item_ids", "list of text", False, "the user's behaviours, oldest first, in place of the stored "
           "ones; may be []"),
    Column("history_ratings", "list of number", False, "their ratings, 1 to 5; NaN for a behaviour without"),
    Column("partition_vectors", "list of list of number", False, "with a given history: r_1..r_j of sealed "
           "partitions, oldest first; or []"),
    Column("partition_item_ids", "list of list of text", False, "with a given history: items of each sealed "
           "partition, oldest first; or []"),
    Column("partition_ratings", "list of list of number", False, "their ratings"),
)  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """A request of n rows; values that are missing are None."""

    user_ids: list[str]
    item_ids: list[str]
    moments: list[datetime | None]
    others: dict[str, list[Any]]  # every other column of `COLUMNS`, whether the frame has it or not

    def __len__(self) -> int:
        return len(self.user_ids)

    def given(self, name: str) -> list[int]:
        """Numbers of the rows that have a value."""
        return [row for row, value in enumerate(self.others[name]) if value is not None]


def read(frame: pd.DataFrame) -> Rows:
    """Check a request.

    Raises:
        InputError: a required column or value is missing, or a time is no moment; names row (from 0) and column.
    """
    missing = [column.name for column in COLUMNS if column.required and column.name not in frame]
    if missing:
        raise InputError(
            f"The input lacks the column {missing[0]!r}: give user_id and item_id; "
            f"{', '.join(column.name for column in COLUMNS if not column.required)} are optional."
        )
    columns = {column.name: _values(frame, column.name) for column in COLUMNS}
    return Rows(
        _ids(columns.pop("user_id"), "user_id"),
        _ids(columns.pop("item_id"), "item_id"),
        _moments(columns.pop("time")),
        columns,
    )


def example(vocabulary: Vocabulary, config: ModelConfig) -> pd.DataFrame:
    """Two invented rows that bring their own features: a user with history and one partition, and a new one.

    Nobody's real data, and no database is needed to score them.
    """
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
            "partition_vectors": [[[0.1] * max(config.vector_size, 1)], []],
            "partition_item_ids": [[[item, item]], []],
            "partition_ratings": [[[5.0, 2.0]], []],
        }
    )


def _values(frame: pd.DataFrame, name: str) -> list[Any]:
    """A column as plain Python values; missing ones and missing columns are None."""
    if name not in frame:
        return [None] * len(frame)
    return [None if _is_missing(value) else value for value in frame[name].tolist()]


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def _ids(values: list[Any], name: str) -> list[str]:
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise InputError(f"Row {row}: {name} is {value!r}: give an id as text.")
        if "\0" in value:
            raise InputError(f"Row {row}: {name} is {value!r}: an id holds no NUL character.")
    return values


def _moments(values: list[Any]) -> list[datetime | None]:
    seen: dict[Any, datetime | None] = {}
    found = []
    for row, value in enumerate(values):
        if not isinstance(value, str | datetime | None):
            raise InputError(f"Row {row}: time is {value!r}: {_WRITE}")
        if value not in seen:
            seen[value] = _moment(value, row)
        found.append(seen[value])
    return found


_WRITE = "write ISO 8601 with a zone, as 2026-01-31T12:00:00Z, or leave it empty for now."


def _moment(value: str | datetime | None, row: int) -> datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise InputError(f"Row {row}: time is {value!r}: {_WRITE}") from None
    if isinstance(value, pd.Timestamp):  # the database counts microseconds; strictly earlier stays so
        value = datetime.fromisoformat(value.ceil("us").isoformat())
    if value.tzinfo is None:
        raise InputError(f"Row {row}: time is {value.isoformat()}, without a zone: {_WRITE}")
    return value


def as_list(value: Any) -> list[Any]:
    """A list from a list, an array or None."""
    return [] if value is None else list(value)


def numbers(values: Iterable[Any], row: int, column: str) -> np.ndarray:
    """(n,) float64 from a list; NaN for None.

    Raises:
        InputError: a value is no number; names row and column.
    """
    try:
        return np.array([math.nan if value is None else float(value) for value in values], dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"Row {row}: {column} holds something that is no number.") from None
