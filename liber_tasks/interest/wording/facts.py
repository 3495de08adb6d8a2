"""Facts computed from a partition for its prompt: what is counted cannot be invented by a small model. Pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from liber_tasks.interest.behavior import Behavior
from liber_tasks.interest.wording.domain import Domain
from liber_tasks.interest.wording.untrusted import quote

VALUES = 4  # attribute values named as liked or disliked
ITEMS = 3  # items named as favourite or disliked
NAME_CHARACTERS = 60


def facts(domain: Domain, behaviors: Sequence[Behavior]) -> str:
    """Lines on the values of the counted attribute and on periods with their mean ratings, on what follows from them,
    and on favourite and disliked items. Lines without content are left out.

    A value is liked or disliked by how far its ratings lie above or below the mean of all, summed over its items:
    one outlier counts less than a habit. Where nothing is rated, what was chosen often is liked.
    """
    rated = [each for each in behaviors if each.rating is not None]
    of_value = _ratings(rated, lambda each: _values(domain, each))
    of_period = _ratings(rated, lambda each: _decade(domain, each))
    liked, disliked = _leanings(domain, rated, of_value)
    if not rated:
        liked = _often(behaviors, lambda each: _values(domain, each))
    lines = (
        (f"Mean rating by {domain.facts}", _means(of_value, [*liked, *reversed(disliked)])),
        ("Mean rating by period", _means(of_period, sorted(of_period)) if len(of_period) > 1 else ""),
        (f"Liked {domain.facts}", ", ".join(liked)),
        (f"Disliked {domain.facts}", ", ".join(disliked)),
        ("Favourites", _names(sorted(likes(domain, behaviors), key=_liking, reverse=True))),
        ("Disliked", _names(sorted(dislikes(domain, rated), key=_liking))),
    )
    return "\n".join(f"{label}: {said}." for label, said in lines if said)


def likes(domain: Domain, behaviors: Iterable[Behavior]) -> list[Behavior]:
    """Those with a rating from `liked` on, or with none."""
    return [each for each in behaviors if each.rating is None or each.rating >= domain.liked]


def dislikes(domain: Domain, rated: Iterable[Behavior]) -> list[Behavior]:
    """Those with a rating up to `disliked`."""
    return [each for each in rated if each.rating is not None and each.rating <= domain.disliked]


def _liking(behavior: Behavior) -> tuple[float, float]:
    return (behavior.rating or 0.0, behavior.play_seconds or 0.0)


def _values(domain: Domain, behavior: Behavior) -> list[str]:
    said = behavior.attributes.get(domain.facts)
    plain = said if isinstance(said, list) else [said]
    words = (domain.word(domain.facts, value) for value in plain)
    return [quote(word, NAME_CHARACTERS)[1:-1] for word in dict.fromkeys(words) if word]


def _decade(domain: Domain, behavior: Behavior) -> list[str]:
    try:
        year = int(behavior.attributes[domain.period])  # type: ignore[index]
    except (KeyError, TypeError, ValueError, OverflowError):
        return []
    return [f"{year // 10 * 10}s"] if 0 < year < 10_000 else []


def _ratings(rated: Iterable[Behavior], values: Callable[[Behavior], list[str]]) -> dict[str, list[float]]:
    ratings: dict[str, list[float]] = defaultdict(list)
    for behavior in rated:
        for value in values(behavior):
            ratings[value].append(behavior.rating or 0.0)
    return ratings


def _leanings(
    domain: Domain, rated: Sequence[Behavior], of_value: Mapping[str, Sequence[float]]
) -> tuple[list[str], list[str]]:
    """Values that are liked and disliked, the clearest first. A mean that is itself a like is no dislike, and the other
    way round; a value that leans nowhere, as one that all items share, is what its mean says."""
    mean = sum(each.rating or 0.0 for each in rated) / max(1, len(rated))
    # rounded: what leans nowhere must not lean by a sum of fractions
    leaning = {value: round(sum(rating - mean for rating in ratings), 9) for value, ratings in of_value.items()}
    average = {value: sum(ratings) / len(ratings) for value, ratings in of_value.items()}
    ordered = sorted(leaning, key=lambda value: (-leaning[value], value))

    def liked(value: str) -> bool:
        bound = domain.disliked if leaning[value] > 0 else domain.liked
        return leaning[value] >= 0 and (average[value] > bound or average[value] == domain.liked)

    def disliked(value: str) -> bool:
        bound = domain.liked if leaning[value] < 0 else domain.disliked
        return leaning[value] <= 0 and (average[value] < bound or average[value] == domain.disliked)

    return list(filter(liked, ordered))[:VALUES], list(filter(disliked, reversed(ordered)))[:VALUES]


def _often(behaviors: Iterable[Behavior], values: Callable[[Behavior], list[str]]) -> list[str]:
    counts = Counter(value for behavior in behaviors for value in values(behavior))
    return sorted(counts, key=lambda value: (-counts[value], value))[:VALUES]


def _means(ratings: Mapping[str, Sequence[float]], values: Iterable[str]) -> str:
    return ", ".join(f"{value} {sum(ratings[value]) / len(ratings[value]):.1f}" for value in values if value in ratings)


def _names(behaviors: Iterable[Behavior]) -> str:
    """The first items, each once."""
    titles = dict.fromkeys(quote(behavior.title, NAME_CHARACTERS) for behavior in behaviors)
    return ", ".join(list(titles)[:ITEMS])
