"""One question to the LLM, and the place that its answer has in the database. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from liber_tasks.interest.prompts import Kind


@dataclass(frozen=True)
class PartitionPlace:
    """A partition P_j of a user.

    Attributes:
        user_id: external id.
        user_key: of the same user.
        partition_no: j.
    """

    user_id: str
    user_key: int
    partition_no: int

    @property
    def numbers(self) -> dict[str, int]:
        """What log lines name it by: no external id."""
        return {"user_key": self.user_key, "partition_no": self.partition_no}

    @property
    def owner(self) -> int:
        """Whose rows: once they are erased, nothing more is asked about them."""
        return self.user_key


@dataclass(frozen=True)
class ItemPlace:
    """An item in one state.

    Attributes:
        item_id: external id.
        item_key: of the same item.
        attributes_sha256: of the title and attributes that are asked about.
    """

    item_id: str
    item_key: int
    attributes_sha256: str

    @property
    def numbers(self) -> dict[str, int]:
        """What log lines name it by."""
        return {"item_key": self.item_key}

    @property
    def owner(self) -> int:
        """The item itself."""
        return self.item_key


Place = TypeVar("Place", bound=PartitionPlace | ItemPlace)


@dataclass(frozen=True)
class Call(Generic[Place]):
    """One question to the LLM. Equal keys mean the same question about the same place.

    Attributes:
        key: digest of everything that may change the answer.
        place: what it is about.
        kind: summary, shift or item.
        prompt: whole, before the server's context shortens it.
        max_tokens: bound of the answer.
        shortened: renders the prompt without so many of the parts that it can do without.
        parts: how many there are, such as the behaviours that it shows; 0: it cannot be shortened.
    """

    key: str
    place: Place
    kind: Kind
    prompt: str
    max_tokens: int
    shortened: Callable[[int], str] = field(compare=False, repr=False)
    parts: int
