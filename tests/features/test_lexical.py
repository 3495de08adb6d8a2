"""Words as vectors: fitted once, frozen, the same bytes for the same texts."""

import numpy as np
import pytest

from liber_tasks.features.lexical import Lexical

TEXTS = [
    "A space opera directed by George Lucas, with Harrison Ford.",
    "Indiana Jones, an adventure with Harrison Ford by Steven Spielberg.",
    "A drama by Steven Spielberg about the war.",
    "A western about the war, with a sheriff.",
    "An adventure in space, with a sheriff of the stars.",
]


def test_a_text_is_the_projection_of_its_weighted_words() -> None:
    fitted = Lexical.fit(TEXTS, dimension=3)
    weights = fitted.words(TEXTS).toarray()
    np.testing.assert_allclose(np.linalg.norm(weights, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(fitted.embed(TEXTS), weights @ fitted.components.T, rtol=1e-4, atol=1e-6)
    assert {"harrison ford", "steven spielberg", "sheriff"} <= set(fitted.terms)
    assert "lucas" not in fitted.terms, "a word of one text compares nothing"


def test_terms_weigh_as_their_definition_says() -> None:
    """Sublinear term frequency times smoothed inverse document frequency, rows of length 1."""
    fitted = Lexical.fit(TEXTS, dimension=3)
    column = {term: place for place, term in enumerate(fitted.terms)}
    row = fitted.words(["sheriff sheriff space"]).toarray()[0]
    idf = {term: np.log((1 + len(TEXTS)) / (1 + 2)) + 1 for term in ("sheriff", "space")}  # each in two texts
    raw = {"sheriff": (1 + np.log(2)) * idf["sheriff"], "space": idf["space"]}
    length = np.hypot(*raw.values())
    assert {term: pytest.approx(row[column[term]], rel=1e-5) for term in raw} == {t: w / length for t, w in raw.items()}
    assert np.count_nonzero(row) == 2


def test_it_comes_back_from_its_bytes_and_is_the_same_for_the_same_texts() -> None:
    fitted = Lexical.fit(TEXTS, dimension=3)
    back = Lexical.from_bytes(fitted.to_bytes())
    assert (back.sha256, back.terms) == (fitted.sha256, fitted.terms)
    np.testing.assert_array_equal(back.embed(TEXTS), fitted.embed(TEXTS))
    assert Lexical.fit(TEXTS, dimension=3).sha256 == fitted.sha256
    assert Lexical.fit(TEXTS[:4], dimension=3).sha256 != fitted.sha256


def test_what_it_never_saw_has_no_direction() -> None:
    assert not Lexical.fit(TEXTS, dimension=3).embed(["quantum chromodynamics", ""]).any()


def test_few_texts_give_few_directions_and_none_that_compare_an_error() -> None:
    assert Lexical.fit(TEXTS[:3], dimension=256).dimension == 2
    for texts in ([], ["one text"], ["nothing", "shared"]):
        with pytest.raises(ValueError, match=r"documents|vocabulary|terms|directions"):
            Lexical.fit(texts)
