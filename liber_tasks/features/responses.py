"""What a user said of an item: one of five levels, or nothing. Pure array functions."""

import numpy as np

from liber_tasks.backbones.vocabulary import LEVELS, LIKED_FROM, RATING_BOUNDS, UNRATED


def responses(ratings: np.ndarray) -> np.ndarray:
    """Responses as in `Batch.entry_response`, (n,) int64, of ratings on a scale of five; NaN: not rated."""
    return np.where(np.isnan(ratings), UNRATED, np.searchsorted(RATING_BOUNDS, ratings, side="left")).astype(np.int64)


def rated(response: np.ndarray) -> np.ndarray:
    """Which are ratings, (n,) bool."""
    return response < LEVELS


def liked(response: np.ndarray) -> np.ndarray:
    """Which are ratings of a positive sample, (n,) bool."""
    return (response >= LIKED_FROM) & rated(response)


def disliked(response: np.ndarray) -> np.ndarray:
    """Which are other ratings, (n,) bool."""
    return response < LIKED_FROM


def stars(response: np.ndarray) -> np.ndarray:
    """1 to 5, (n,) float64; 0 where there is no rating."""
    return np.where(rated(response), response + 1.0, 0.0)
