"""Readable profiles, against dictionaries of words."""

import numpy as np
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st
from scipy import sparse

from liber_tasks.features.words import WORDS_KEPT, word_profiles
from tests.features.reference import DISLIKED, LIKED

ITEMS, PARTITIONS, TERMS = 6, 4, 9
WEIGHTS = st.lists(
    st.lists(st.integers(0, 5), min_size=TERMS, max_size=TERMS), min_size=ITEMS, max_size=ITEMS
)  # fmt: skip
BEHAVIORS = st.lists(
    st.tuples(st.integers(0, ITEMS - 1), st.integers(0, 5), st.integers(-1, PARTITIONS - 1)), max_size=30
)


def _profile(weights: list[list[int]], behaviors: list[tuple[int, int, int]], of: int) -> tuple[dict, dict]:
    """Words of what was disliked and of what was liked in one partition, in loops."""
    means = []
    for side in (DISLIKED, LIKED):
        items = [i for i, r, p in behaviors if r in side and p == of and any(weights[i])]
        means.append([sum(weights[i][t] for i in items) / (len(items) + 1) for t in range(TERMS)])
    difference = {t: means[1][t] - means[0][t] for t in range(TERMS) if abs(means[1][t] - means[0][t]) > 1e-6}
    kept = sorted(difference, key=lambda t: (-abs(difference[t]), t))[:3]
    return (
        {t: -difference[t] for t in kept if difference[t] < 0},
        {t: difference[t] for t in kept if difference[t] > 0},
    )


@rules(max_examples=100, deadline=None)
@given(WEIGHTS, BEHAVIORS)
def test_scores_are_those_of_the_words_that_tell_liked_from_disliked(
    weights: list[list[int]], behaviors: list[tuple[int, int, int]]
) -> None:
    # a scale of its own for each word, so that no two differences tie for the last place
    drawn = [[w * (1 + 0.0137 * (t + 1)) for t, w in enumerate(row)] for row in weights]
    item, response, partition = np.array(behaviors, dtype=np.int64).reshape(-1, 3).T
    found = word_profiles(sparse.csr_array(np.array(drawn)), item, response, partition, PARTITIONS, 3)
    for of in range(PARTITIONS):
        sides = _profile(drawn, behaviors, of)  # type: ignore[arg-type]
        for candidate in range(ITEMS):
            expected = [sum(weight * drawn[candidate][t] for t, weight in side.items()) for side in sides]
            scores = found.scores(*np.array([[of], [of + 1], [candidate]]))
            np.testing.assert_allclose(scores[:, 0, 0], expected, rtol=1e-4, atol=1e-4)


def test_a_partition_keeps_thirty_words() -> None:
    view = sparse.csr_array(np.random.default_rng(0).random((5, 200)))
    found = word_profiles(view, np.arange(5), np.array([0, 1, 2, 3, 4]), np.zeros(5, dtype=np.int64), 1)
    assert found.words.nnz == WORDS_KEPT == 30
    assert np.diff(found.words.indptr).min() > 0  # some of what was disliked, some of what was liked
    assert found.some.tolist() == [[True, True]]
