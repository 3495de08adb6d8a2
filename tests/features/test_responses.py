"""Ratings as five levels."""

import math

import numpy as np
import pytest

from liber_tasks.features.responses import disliked, liked, rated, responses, stars


@pytest.mark.parametrize(
    ("rating", "level"), [(0.5, 0), (1, 0), (1.5, 0), (2, 1), (2.5, 1), (3, 2), (3.01, 3), (3.5, 3), (4.5, 3), (5, 4)]
)
def test_a_rating_above_three_is_liked_and_every_other_disliked(rating: float, level: int) -> None:
    said = responses(np.array([rating]))
    assert said.tolist() == [level]
    assert (liked(said)[0], disliked(said)[0], rated(said)[0]) == (rating > 3, rating <= 3, True)
    assert stars(said).tolist() == [level + 1]


def test_without_a_rating_it_is_neither() -> None:
    said = responses(np.array([math.nan]))
    assert said.tolist() == [5]
    assert not liked(said)[0]
    assert not disliked(said)[0]
    assert not rated(said)[0]
    assert stars(said).tolist() == [0]
