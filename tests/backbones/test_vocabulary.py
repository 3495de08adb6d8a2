import math

import pytest

from liber_tasks.backbones.vocabulary import Vocabulary, age_bucket, lustrum
from tests.backbones.batches import vocabulary


def test_what_is_unknown_or_missing_has_index_zero() -> None:
    assert vocabulary().user_row("nobody", None, "X", None) == [0, 0, 0, 0]
    assert vocabulary().item_row(None, "soon") == [0, 0]
    assert vocabulary().user_row("u2", 30, "M", "student") == [2, 3, 2, 2]


@pytest.mark.parametrize(("age", "bucket"), [(17, 1), (18, 2), ("24", 2), (55.5, 6), (56, 7), (math.nan, 0), ("", 0)])
def test_ages_fall_into_movielens_groups(age: object, bucket: int) -> None:
    assert age_bucket(age) == bucket


def test_five_years_share_a_bucket() -> None:
    assert lustrum(1995) == lustrum("1999") != lustrum(2000)
    assert lustrum(None) == ""


def test_only_lists_of_known_genres_count_each_once() -> None:
    assert vocabulary().genre_columns(["g2", "g0", "g2", "gX"]) == (0, 2)
    assert vocabulary().genre_columns("g1") == ()


def test_a_vocabulary_survives_json() -> None:
    assert Vocabulary.from_json(vocabulary().to_json()) == vocabulary()
