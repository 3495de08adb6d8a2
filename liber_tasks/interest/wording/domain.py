"""Domain packs: how a catalogue is worded in prompts, as data. A user adds one as a TOML file, without any Python."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from liber_tasks.domain_pack import Line, Number, checked, read
from liber_tasks.feedback import Pack
from liber_tasks.interest.wording.untrusted import clean

ATTRIBUTE_CHARACTERS = 40
_FIELD = re.compile(r"{(\w+)}")


def _piece(text: str) -> str:
    if re.search(r"[{}]", _FIELD.sub("", text)):
        raise ValueError("an attribute is written {name}, letters, digits and _ only")
    return text


Piece = Annotated[Line, AfterValidator(_piece)]


class Responses(BaseModel):
    """What a behaviour of each kind says about its item."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rating: tuple[Piece, ...] = Field(min_length=1)
    play: tuple[Piece, ...] = Field(min_length=1)
    purchase: tuple[Piece, ...] = Field(min_length=1)
    click: tuple[Piece, ...] = Field(min_length=1)


class Description(BaseModel):
    """What an item's text is to say besides the factors.

    Attributes:
        names: whose names it may hold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: Line = Field(default="people and related titles", min_length=1)


class Domain(BaseModel):
    """How a catalogue is worded. Pieces are texts with `{attribute}`; without the attribute a piece is left out.

    Attributes:
        name: of the file.
        items: what the items are called, plural.
        factors: the paper's dataset-specific factors, as the prompt lists them.
        user: pieces that describe a user.
        item: pieces that name an item; `{title}` is its title.
        facts: attribute of items whose values are counted, such as genres.
        period: attribute of items that holds a year; None: no facts about periods.
        liked, disliked: ratings from here on are likes, up to here dislikes.
        response: pieces by kind of behaviour; `{rating}` and `{minutes}` are the behaviour's own.
        words: values in words, by attribute.
        description: what an item's text is to say.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    items: Line = Field(min_length=1)
    factors: Line = Field(min_length=1)
    user: tuple[Piece, ...]
    item: tuple[Piece, ...] = Field(min_length=1)
    facts: Line = Field(min_length=1)
    period: Line | None = None
    liked: Number
    disliked: Number
    response: Responses
    words: dict[Line, dict[Line, Line]] = {}
    description: Description = Field(default_factory=Description)

    @model_validator(mode="after")
    def _apart(self) -> "Domain":
        if self.disliked >= self.liked:
            raise ValueError("disliked must be below liked, change one of them")
        return self

    @cached_property
    def digest(self) -> str:
        """Of everything the pack says about behaviours, and so of all that a partition's texts depend on."""
        return _digest(self.model_dump(mode="json", exclude={"description"}))

    @cached_property
    def item_digest(self) -> str:
        """Of everything that an item's text depends on."""
        return _digest(self.model_dump(mode="json", include={"name", "items", "factors", "words", "description"}))

    def fill(self, pieces: Sequence[str], values: Mapping[str, Any], limit: int = ATTRIBUTE_CHARACTERS) -> list[str]:
        """The pieces whose attributes are all there, filled in."""
        filled = []
        for piece in pieces:
            found = {name: self.word(name, values.get(name), limit) for name in _FIELD.findall(piece)}
            if all(found.values()):
                filled.append(_FIELD.sub(lambda field, found=found: found[field[1]], piece))  # type: ignore[misc]
        return filled

    def word(self, name: str, value: Any, limit: int = ATTRIBUTE_CHARACTERS) -> str:
        """An attribute's value on one line, in words where the pack has them; empty where there is none."""
        if value is None:
            return ""
        plain = clean(", ".join(map(str, value)) if isinstance(value, list) else str(value), limit)
        return self.words.get(name, {}).get(plain, plain)


def _digest(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def domain(name: str) -> Domain:
    """The pack of that name, or in the file of that path.

    Raises:
        InputError: there is no such pack, or it is not one; names file and key.
    """
    return pack(*read(name))


def pack(values: Mapping[str, Any], what: str) -> Domain:
    """A pack from its parsed text.

    Raises:
        InputError: a key is missing, unknown or of the wrong type; names it, after `what`.
    """
    checked(Pack, values, what)  # what models take for liked: no prompt depends on it, it is no part of a domain
    return checked(Domain, {key: value for key, value in values.items() if key != "feedback"}, what)
