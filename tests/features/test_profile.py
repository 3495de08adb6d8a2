"""Profiles of partitions and their likeness to a candidate, against loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from liber_tasks.features import profile
from liber_tasks.features.profile import NAMES, VectorProfiles, directions, profiles, similarity
from tests.features import reference
from tests.features.reference import DISLIKED, LIKED

ITEMS, PARTITIONS, WIDTH = 6, 5, 3
VECTORS = st.lists(st.lists(st.integers(-3, 3), min_size=WIDTH, max_size=WIDTH), min_size=ITEMS, max_size=ITEMS)
BEHAVIORS = st.lists(
    st.tuples(st.integers(0, ITEMS - 1), st.integers(0, 5), st.integers(-1, PARTITIONS - 1)), max_size=30
)
SAMPLES = st.lists(
    st.tuples(st.integers(0, PARTITIONS), st.integers(0, PARTITIONS), st.integers(0, ITEMS - 1)), max_size=6
)
Behaviors = list[tuple[int, int, int]]


def _made(vectors: list[list[int]], behaviors: Behaviors) -> tuple[VectorProfiles, list[list[list[float]]]]:
    item, response, partition = np.array(behaviors, dtype=np.int64).reshape(-1, 3).T
    found = profiles(np.array(vectors, dtype=np.float32), item, response, partition, PARTITIONS)
    expected = [
        [reference.profile(vectors, [i for i, r, p in behaviors if r in side and p == part])
         for side in (DISLIKED, LIKED)]
        for part in range(PARTITIONS)
    ]  # fmt: skip
    return found, expected  # type: ignore[return-value]


@rules(max_examples=80, deadline=None)
@given(VECTORS, BEHAVIORS)
def test_a_profile_is_the_shrunk_mean_of_the_items_liked_or_disliked(
    vectors: list[list[int]], behaviors: Behaviors
) -> None:
    found, expected = _made(vectors, behaviors)
    assert found.some.tolist() == [[side is not None for side in each] for each in expected]
    zeros = [0.0] * WIDTH
    np.testing.assert_allclose(found.mean, [[side or zeros for side in each] for each in expected], atol=1e-5)


@pytest.mark.parametrize("chunk", [2, profile._CHUNK])
@rules(max_examples=60, deadline=None)
@given(VECTORS, BEHAVIORS, SAMPLES)
def test_similarities_are_those_of_each_sample(
    chunk: int, vectors: list[list[int]], behaviors: Behaviors, samples: list[tuple[int, int, int]]
) -> None:
    units = directions(np.array(vectors, dtype=np.float32), np.zeros(0, dtype=np.int64)).tolist()
    found, partitions = _made(units, behaviors)
    table = np.array([(min(a, b), max(a, b), c) for a, b, c in samples], dtype=np.int64).reshape(-1, 3)
    start, end, candidate = table.T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profile, "_CHUNK", chunk)
        scalars = similarity([found], start, end, candidate)
    expected = [reference.similarity(partitions[a:b], units[c]) for a, b, c in table.tolist()]
    np.testing.assert_allclose(scalars, np.reshape(expected, (-1, len(NAMES))), rtol=1e-4, atol=1e-5)


@rules(max_examples=60, deadline=None)
@given(VECTORS, st.lists(st.integers(0, ITEMS - 1), max_size=ITEMS, unique=True))
def test_directions_are_centred_on_what_is_known_of_the_items_given(
    vectors: list[list[int]], fitted: list[int]
) -> None:
    chosen = [vectors[item] for item in fitted if any(vectors[item])]
    centre = [sum(column) / len(chosen) for column in zip(*chosen, strict=True)] if chosen else [0.0] * WIDTH
    expected = []
    for vector in vectors:
        moved = [x - m for x, m in zip(vector, centre, strict=True)] if any(vector) else [0.0] * WIDTH
        length = sum(x * x for x in moved) ** 0.5
        expected.append([x / length if length > 1e-5 else 0.0 for x in moved])
    found = directions(np.array(vectors, dtype=np.float32), np.array(fitted, dtype=np.int64))
    # a vector that is the centre has no direction but that of its rounding
    has_direction = np.abs(expected).sum(axis=1) > 0
    np.testing.assert_allclose(found[has_direction], np.array(expected)[has_direction], atol=1e-5)
    assert not found[[not any(vector) for vector in vectors]].any()
