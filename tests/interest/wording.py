"""Histories whose prompts are kept in `golden_prompts.txt`. After a change that is meant, print the file anew:
`python -m tests.interest.wording > tests/interest/golden_prompts.txt`, and read what differs."""

from collections.abc import Iterator
from typing import Any

from liber_tasks.config import Settings
from liber_tasks.interest.behavior import Behavior
from liber_tasks.interest.prompts import Knowledge, knowledge_version
from liber_tasks.interest.summary import summary_prompt

DOMAINS = ("movies", "books", "music")
STYLES = ("grounded", "titles")
USER = {"gender": "F", "age": 30, "occupation": "artist", "country": "Peru"}
_GENRES = ("Drama", "Crime", "Comedy")


def knowledge(domain: str = "movies", **changes: Any) -> Knowledge:
    """A version that depends on nothing in the developer's environment."""
    return knowledge_version(Settings(_env_file=None, domain=domain, **changes))


def _item(number: int) -> dict[str, Any]:
    """Attributes that suit every catalogue."""
    first, second = _GENRES[number % 3], _GENRES[(number + 1) % 3]
    return {"genres": [first, second], "categories": [first, second], "year": 1985 + 7 * number,
            "author": f"Author {number}", "artist": f"Artist {number}"}  # fmt: skip


def _of(*kinds: tuple[str, float | None, float | None]) -> list[Behavior]:
    return [
        Behavior(f"Title {number}", _item(number), kind, rating, seconds)
        for number, (kind, rating, seconds) in enumerate(kinds)
    ]


HISTORIES: dict[str, list[Behavior]] = {
    "ratings": _of(("rating", 5, None), ("rating", 1, None), ("rating", 4.5, None), ("rating", 5, None)),
    "one genre that leans nowhere": [
        Behavior(f"Title {number}", {"genres": ["Drama"]}, "rating", rating, None)
        for number, rating in enumerate((4.0, 3.0, 3.0))
    ],
    "plays": _of(("play", None, 190.0), ("play", None, 5400.0), ("play", None, None)),
    "purchases": _of(("purchase", None, None), ("purchase", None, None)),
    "mixed": _of(("play", None, 60.0), ("rating", 2, None), ("purchase", None, None), ("click", None, None),
                 ("rating", 4, None)),
    "unrated": _of(("rating", None, None), ("rating", None, None)),
    "no attributes": [Behavior("Title A", {}, "rating", 4, None), Behavior("Title B", {}, "rating", 2, None)],
    "one behaviour": _of(("rating", 3, None)),
}  # fmt: skip


def prompts_of(made_with: Knowledge) -> Iterator[tuple[str, str]]:
    """Name of each history with its prompt; only the first is of a known user."""
    for number, (name, behaviors) in enumerate(HISTORIES.items()):
        yield name, summary_prompt(made_with, {} if number else USER, behaviors)


def golden() -> str:
    """Every prompt under a heading of its own."""
    parts = [
        f"=== {domain}, {style}, {name}\n{prompt}\n"
        for domain in DOMAINS
        for style in STYLES
        for name, prompt in prompts_of(knowledge(domain, history_style=style))
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    print(golden(), end="")
