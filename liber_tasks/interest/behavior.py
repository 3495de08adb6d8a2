"""A behaviour with its item, as prompts show it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Behavior:
    """One behaviour of a partition with its item.

    Attributes:
        title: of the item; its id where it has none.
        attributes: of the item.
        kind: play, rating, purchase or click.
        rating: in the catalogue's own scale.
        play_seconds: how long it was played.
        said: what the LLM said about the item; empty: nothing, or no prompt shows it.
    """

    title: str
    attributes: Mapping[str, Any]
    kind: str
    rating: float | None
    play_seconds: float | None
    said: str = ""
