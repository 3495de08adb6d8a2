"""Facts in a prompt are true: checked against a slow computation from the definition, in exact fractions."""

import itertools
import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from liber_tasks.interest.behavior import Behavior
from liber_tasks.interest.wording.domain import domain
from liber_tasks.interest.wording.facts import ITEMS, VALUES, facts

MOVIES = domain("movies")
LIKED, DISLIKED = 4, 2
GENRES = ("Drama", "Comedy", "Horror", "Crime", "War", "Sci-Fi")
TITLES = ("Alien", "Heat", 'Say "Hi"', "Fargo, again", "M: a film.")
# Sums of rounded differences from a mean: a leaning this near to none may be shown as either.
TINY = Fraction(1, 10**9)

BEHAVIORS = st.builds(
    lambda title, genres, year, kind, rating, seconds: Behavior(
        title, {"genres": genres, "year": year}, kind, rating, seconds
    ),
    title=st.sampled_from(TITLES),
    genres=st.lists(st.sampled_from(GENRES), max_size=3, unique=True),
    year=st.sampled_from([None, 1979, 1980, 1989, 1994, "1999", 2000, "unknown", 0, -5]),
    kind=st.sampled_from(["rating", "play", "purchase", "click"]),
    rating=st.none() | st.integers(1, 10).map(lambda half: half / 2),
    seconds=st.none() | st.integers(0, 9000).map(float),
)
HISTORIES = st.lists(BEHAVIORS, min_size=1, max_size=20)


def read(behaviors: Sequence[Behavior]) -> dict[str, str]:
    """The lines by label, without the full stop."""
    lines = facts(MOVIES, behaviors).splitlines()
    found = dict(line.split(": ", 1) for line in lines)
    assert len(found) == len(lines)
    assert all(said.endswith(".") for said in found.values())
    return {label: said[:-1] for label, said in found.items()}


def numbers(said: str) -> dict[str, Fraction]:
    """Means by name, in their order."""
    pairs = [part.rsplit(" ", 1) for part in said.split(", ") if said]
    return {name: Fraction(number) for name, number in pairs}


def names(said: str) -> list[str]:
    return said.split(", ") if said else []


def mean(ratings: Sequence[float]) -> Fraction:
    return sum(map(Fraction, ratings), Fraction()) / len(ratings)


def of_genre(behaviors: Sequence[Behavior]) -> dict[str, list[float]]:
    """Ratings of the items of each genre."""
    return {
        genre: ratings
        for genre in GENRES
        if (ratings := [b.rating for b in behaviors if b.rating is not None and genre in b.attributes["genres"]])
    }


@given(behaviors=HISTORIES)
@bounded(max_examples=150, deadline=None)
def test_means_by_genre_are_the_means_of_its_ratings(behaviors: list[Behavior]) -> None:
    found, ratings = read(behaviors), of_genre(behaviors)
    shown = numbers(found.get("Mean rating by genres", ""))
    for genre, number in shown.items():
        assert abs(number - mean(ratings[genre])) <= Fraction(1, 20)  # one decimal place
    rated = any(behavior.rating is not None for behavior in behaviors)
    if rated:  # of exactly the genres that are named as liked or disliked, from liked to disliked
        liked, disliked = names(found.get("Liked genres", "")), names(found.get("Disliked genres", ""))
        assert list(shown) == liked + disliked[::-1]
    else:
        assert not shown


@given(behaviors=HISTORIES)
@bounded(max_examples=150, deadline=None)
def test_liked_genres_lie_above_the_mean_and_disliked_ones_below_the_clearest_first(behaviors: list[Behavior]) -> None:
    ratings = of_genre(behaviors)
    found = read(behaviors)
    liked, disliked = names(found.get("Liked genres", "")), names(found.get("Disliked genres", ""))
    if not any(behavior.rating is not None for behavior in behaviors):
        return
    all_of_them = mean([behavior.rating for behavior in behaviors if behavior.rating is not None])
    leaning = {genre: sum((Fraction(each) - all_of_them for each in of), Fraction()) for genre, of in ratings.items()}

    assert not set(liked) & set(disliked)
    for shown, others, sign in ((liked, disliked, 1), (disliked, liked, -1)):
        toward = [sign * leaning[genre] for genre in shown]
        assert all(each >= -TINY for each in toward)
        assert all(clearer >= next_one - TINY for clearer, next_one in itertools.pairwise(toward))
        assert len(shown) <= VALUES
        for genre in set(ratings) - set(shown) - set(others):
            fits = mean(ratings[genre]) > DISLIKED if sign > 0 else mean(ratings[genre]) < LIKED
            missed = sign * leaning[genre] > TINY and fits
            assert not missed or (len(shown) == VALUES and sign * leaning[genre] <= min(toward) + TINY)
    assert all(mean(ratings[genre]) > DISLIKED for genre in liked)  # a mean that is a dislike is no like
    assert all(mean(ratings[genre]) < LIKED for genre in disliked)


@given(behaviors=HISTORIES)
@bounded(max_examples=150, deadline=None)
def test_where_nothing_is_rated_the_most_frequent_genres_are_liked(behaviors: list[Behavior]) -> None:
    unrated = [Behavior(b.title, b.attributes, b.kind, None, b.play_seconds) for b in behaviors]
    counts = {genre: sum(genre in b.attributes["genres"] for b in unrated) for genre in GENRES}
    often = sorted((genre for genre in GENRES if counts[genre]), key=lambda genre: (-counts[genre], genre))
    found = read(unrated)
    assert names(found.get("Liked genres", "")) == often[:VALUES]
    assert not {"Disliked genres", "Disliked", "Mean rating by genres", "Mean rating by period"} & set(found)


@given(behaviors=HISTORIES)
@bounded(max_examples=150, deadline=None)
def test_periods_are_the_decades_of_what_was_rated_when_there_are_several(behaviors: list[Behavior]) -> None:
    decades: dict[str, list[float]] = {}
    for behavior in behaviors:
        year = behavior.attributes["year"]
        if behavior.rating is not None and str(year).isdecimal() and int(year) > 0:
            decades.setdefault(f"{str(year)[:3]}0s", []).append(behavior.rating)
    shown = numbers(read(behaviors).get("Mean rating by period", ""))
    assert list(shown) == (sorted(decades) if len(decades) > 1 else [])
    assert all(abs(number - mean(decades[decade])) <= Fraction(1, 20) for decade, number in shown.items())


@given(behaviors=HISTORIES)
@bounded(max_examples=150, deadline=None)
def test_favourites_and_disliked_items_are_the_ends_of_what_was_liked_and_disliked(behaviors: list[Behavior]) -> None:
    def best_first(left: list[Behavior], sign: int) -> list[str]:
        """Titles by rating, then by time played, the earlier one first; each once."""
        titles: list[str] = []
        while left:
            best = left[0]
            for other in left[1:]:
                mine, yours = ((sign * (b.rating or 0), sign * (b.play_seconds or 0)) for b in (best, other))
                best = other if yours > mine else best
            left = [each for each in left if each is not best]
            titles += [best.title] if best.title not in titles else []
        return titles[:ITEMS]

    # hypothesis may give one object twice: `is not` needs them apart
    behaviors = [Behavior(b.title, b.attributes, b.kind, b.rating, b.play_seconds) for b in behaviors]
    found = read(behaviors)
    liked = [b for b in behaviors if b.rating is None or b.rating >= LIKED]
    disliked = [b for b in behaviors if b.rating is not None and b.rating <= DISLIKED]
    assert json.loads(f"[{found.get('Favourites', '')}]") == best_first(liked, 1)
    assert json.loads(f"[{found.get('Disliked', '')}]") == best_first(disliked, -1)


def rated(rating: float | None, **attributes: Any) -> Behavior:
    return Behavior("Alien", attributes, "rating", rating, None)


def test_one_outlier_counts_less_than_a_habit() -> None:
    history = [*(rated(4, genres=["Drama"]) for _ in range(6)), rated(5, genres=["War"]), rated(1, genres=["Horror"]),
               rated(2, genres=["Horror"])]  # fmt: skip
    found = read(history)
    assert found["Liked genres"] == "Drama, War"  # six fours say more than one five
    assert found["Disliked genres"] == "Horror"


@pytest.mark.parametrize("year", [None, "", "soon", [], {}, float("nan"), float("inf"), -1, 10_000, "1" * 5000])
def test_a_year_that_is_none_makes_no_period(year: Any) -> None:
    history = [rated(4, year=1999), rated(3, year=2001), rated(2, year=year)]
    assert list(numbers(read(history)["Mean rating by period"])) == ["1990s", "2000s"]


@pytest.mark.parametrize("genres", [None, "", [], [""], ["\n"], [None]])
def test_an_empty_genre_is_none(genres: Any) -> None:
    assert "genres" not in facts(MOVIES, [rated(4, genres=genres)])


def test_a_genre_that_is_no_list_is_one_genre() -> None:
    assert "Liked genres: Drama/Crime.\n" in facts(MOVIES, [rated(4, genres="Drama|Crime")])


def test_a_pack_without_a_period_tells_nothing_of_periods() -> None:
    pack = MOVIES.model_copy(update={"period": None})
    history = [rated(4, year=1999, genres=["War"]), rated(3, year=2011)]
    assert "period" not in facts(pack, history)
    assert "period" in facts(MOVIES, history)


def test_nothing_known_is_nothing_said() -> None:
    assert facts(MOVIES, []) == ""
    assert facts(MOVIES, [rated(3)]) == ""
