"""The frozen PCA."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from liber_tasks.encoder.pca import Projection


def embeddings(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 24)).astype(np.float32)


@settings(deadline=None, max_examples=25)
@given(rows=st.integers(2, 40), dimension=st.integers(1, 16), seed=st.integers(0, 99))
def test_components_are_orthonormal_up_to_the_rank_and_zero_beyond(rows: int, dimension: int, seed: int) -> None:
    fitted = Projection.fit(embeddings(rows, seed), dimension)
    rank = min(dimension, rows - 1)
    gram = fitted.components @ fitted.components.T
    expected = np.diag([1.0] * rank + [0.0] * (dimension - rank))
    assert np.allclose(gram, expected, atol=1e-4)
    assert 0 <= fitted.explained_variance <= 1 + 1e-6


def test_fitting_twice_gives_the_same_numbers() -> None:
    assert Projection.fit(embeddings(30), 8).sha256 == Projection.fit(embeddings(30), 8).sha256


def test_what_was_stored_projects_the_same() -> None:
    fitted = Projection.fit(embeddings(30), 8)
    again = Projection.from_bytes(fitted.to_bytes(), fitted.explained_variance)
    assert np.array_equal(again.transform(embeddings(5, 1)), fitted.transform(embeddings(5, 1)))
    assert again.sha256 == fitted.sha256


def test_it_keeps_distances_when_no_dimension_is_lost() -> None:
    few = embeddings(6)
    short = Projection.fit(few, 8).transform(few)
    assert np.allclose(np.linalg.norm(few[0] - few[1]), np.linalg.norm(short[0] - short[1]), rtol=1e-4)
