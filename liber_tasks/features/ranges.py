"""Ranges of rows as flat lists of (owner, row) pairs, so that nothing loops over samples. Pure functions."""

import numpy as np


def flat(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every row of every range [start[i], end[i]).

    Args:
        start, end: (n,) int64, end >= start.

    Returns:
        owner, row: (sum of lengths,) int64: range and row of each pair, range by range.
    """
    length = end - start
    owner = np.repeat(np.arange(len(start)), length)
    first = np.cumsum(length) - length
    return owner, np.arange(len(owner)) - first[owner] + start[owner]


def total(owner: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Sum of each owner's values, (n,) float64."""
    return np.bincount(owner, weights=values, minlength=n)


def mean(owner: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Mean of each owner's values, (n,) float64; 0 for an owner without any."""
    return total(owner, values, n) / np.maximum(np.bincount(owner, minlength=n), 1)


def largest(owner: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Largest of each owner's values, (n,) float64; 0 for an owner without any."""
    found = np.full(n, -np.inf)
    np.maximum.at(found, owner, values)
    return np.where(np.isfinite(found), found, 0.0)
