"""What counts as liked, as a domain pack says it: one decision for training, serving, explanations and evaluation.

The rule is evaluated in one place, `sql/functions/implied_rating.sql`; here is what it may be.
"""

import json
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from liber_tasks.config import Settings
from liber_tasks.domain_pack import Line, Number, checked, read

Kind = Literal["play", "purchase", "click"]


class Feedback(BaseModel):
    """What a behaviour says of its item. One with a rating says that; one that nothing here speaks of says nothing.

    Attributes:
        rating_levels: of a scale that is not 1 to 5: four bounds between its five levels; above the third is liked.
        play_share: a play of more than this share of the item's duration is liked, of less disliked.
        duration: attribute of items that holds their duration in seconds.
        play_seconds: likewise a play of more seconds than this, where the duration is not known.
        liked, disliked: kinds of behaviours that are one or the other; a play, if the above does not decide.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rating_levels: tuple[Number, Number, Number, Number] | None = None
    play_share: Number | None = Field(default=None, gt=0, lt=1)
    duration: Line | None = Field(default=None, min_length=1)
    play_seconds: Number | None = Field(default=None, ge=0)
    liked: tuple[Kind, ...] = ()
    disliked: tuple[Kind, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "Feedback":
        if self.rating_levels and any(low >= high for low, high in pairwise(self.rating_levels)):
            raise ValueError("rating_levels must ascend, put them in order")
        if (self.play_share is None) != (self.duration is None):
            raise ValueError("play_share and duration go together, give both or neither")
        if both := sorted(set(self.liked) & set(self.disliked)):
            raise ValueError(f"{both[0]} is both liked and disliked, choose one")
        if self == self.model_construct():
            raise ValueError("it says nothing, remove the table or fill it")
        return self

    def to_json(self) -> str:
        """The rule as statements take it, equal for equal rules."""
        said = self.model_dump(mode="json", exclude_defaults=True)
        return json.dumps(said, sort_keys=True, ensure_ascii=False)


class Pack(BaseModel):
    """What of a pack this module reads."""

    feedback: Feedback | None = None


def feedback_in_use(settings: Settings) -> str | None:
    """The rule of the settings' domain pack, as statements take it; None: only ratings say anything.

    Raises:
        InputError: there is no such pack, or its rule is wrong; names file and key.
    """
    found, what = read(settings.domain)
    rule = checked(Pack, found, what).feedback
    return rule.to_json() if rule else None


def positive(feedback: str | None) -> str:
    """What a positive sample is, in a sentence."""
    if feedback is None:
        return "A rating above 3 is positive."
    return f"What the domain pack's feedback calls liked is positive: {feedback}."
