"""What is known of an item as one text: for people, for a BERT, and for counting words."""

from collections.abc import Iterator, Mapping
from typing import Any

CATEGORIES = ("genre", "genres", "category", "categories")  # said without their names: they follow the title


def item_text(title: str | None, attributes: Mapping[str, Any], knowledge: str | None = None) -> str:
    """What is known of an item, in sentences; the order of the attributes does not matter.

    Title and year, then the categories, then every other attribute that is text or a list of texts, by name. Numbers
    say nothing to a BERT and are left out. What an LLM wrote about the item comes last.

    Args:
        title: of the item.
        attributes: of the item, from JSON.
        knowledge: an LLM's text about the item; None: there is none.

    Returns:
        Such as "Toy Story (1995). Animation, Comedy. director: John Lasseter."; empty when nothing is known.
    """
    name = " ".join((title or "").split())
    year = str(attributes.get("year") or "").strip()
    parts = [f"{name} ({year})" if name and year else name]
    parts += [_words(attributes[key]) for key in CATEGORIES if key in attributes]
    for key in sorted(set(attributes) - {*CATEGORIES, "year"}):
        words = _words(attributes[key])
        parts.append(f"{key}: {words}" if words else "")
    parts.append(" ".join((knowledge or "").split()))
    return " ".join(part if part[-1] in ".!?" else f"{part}." for part in parts if part)


def _words(value: object) -> str:
    """A text, or the texts of a list (of lists) once each, in one line; empty for anything else."""
    return ", ".join(dict.fromkeys(_texts(value)))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
    elif isinstance(value, str) and value.strip():
        yield " ".join(value.split())
