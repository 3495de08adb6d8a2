"""Vocabularies: raw ids and attributes to embedding indexes, the same in training and serving.

They are fitted on the rows that train and on nothing later. Index 0 is "unknown": its embedding is trained by replacing
a random share of known ids with it (see `training.fit`), so that new users and items get an average one, not noise.
"""

import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

POSITIVE_ABOVE = 3.0  # a rating above this is a positive sample (paper, section 4.1.1)
RATING_BOUNDS = (1.5, 2.5, POSITIVE_ABOVE, 4.5)  # between the five levels of a rating
LEVELS = len(RATING_BOUNDS) + 1
LIKED_FROM = 3  # the first level of a positive sample
UNRATED = LEVELS  # response of a behaviour without a rating
RESPONSES = LEVELS + 1
MAX_HISTORY = 50  # latest behaviours that a model sees
MAX_PAST = 200  # latest behaviours that dense features are made of
MAX_PARTITIONS = 32  # latest sealed partitions that it sees
AGE_BOUNDS = (18, 25, 35, 45, 50, 56)  # MovieLens' own age groups


@dataclass(frozen=True)
class Vocabulary:
    """Index of each known value. `genres` count from 0 (columns of a multi-hot), all others from 1."""

    users: Mapping[str, int]
    items: Mapping[str, int]
    genders: Mapping[str, int]
    occupations: Mapping[str, int]
    lustra: Mapping[str, int]  # year // 5, as text: JSON has text keys only
    genres: Mapping[str, int]
    catalogue: Mapping[str, tuple[int, ...]]  # genres of every item of the catalogue, rated or not

    def user_row(self, user_id: str | None, age: object, gender: object, occupation: object) -> list[int]:
        """Indexes of one row of `Batch.user`."""
        return [
            self.users.get(user_id or "", 0),
            age_bucket(age),
            self.genders.get(str(gender), 0),
            self.occupations.get(str(occupation), 0),
        ]

    def item_row(self, item_id: str | None, year: object) -> list[int]:
        """Indexes of one row of `Batch.item`."""
        return [self.items.get(item_id or "", 0), self.lustra.get(lustrum(year), 0)]

    def genre_columns(self, genres: object) -> tuple[int, ...]:
        """Columns of the known ones among an item's genres; anything but a list of names has none."""
        if not isinstance(genres, list | tuple):
            return ()
        return tuple(sorted({self.genres[str(name)] for name in genres if str(name) in self.genres}))

    def to_json(self) -> str:
        """The vocabulary as text that `from_json` reads."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Vocabulary":
        """Read what `to_json` wrote."""
        parts: dict[str, Any] = json.loads(text)
        parts["catalogue"] = {item: tuple(columns) for item, columns in parts["catalogue"].items()}
        return cls(**parts)


def number(value: object) -> float | None:
    """A finite number from a number or its text; None for anything else."""
    try:
        result = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return result if abs(result) < float("inf") else None


def age_bucket(age: object) -> int:
    """Age group from 1 (under 18) to 7 (56 and over); 0 when the age is missing."""
    value = number(age)
    return 0 if value is None else 1 + bisect_right(AGE_BOUNDS, value)


def lustrum(year: object) -> str:
    """The five years a year lies in, as a vocabulary key; empty when it is missing."""
    value = number(year)
    return "" if value is None else str(int(value // 5))
