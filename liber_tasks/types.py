"""What stages share besides tables."""

from dataclasses import dataclass
from typing import Protocol

from liber_tasks.errors import InputError


class Progress(Protocol):
    """Receives how far long work has come; the caller decides how to show it."""

    def __call__(self, done: int, total: int | None, label: str) -> None:
        """`done` of `total` units (None: unknown) of what `label` names."""


def silent(done: int, total: int | None, label: str) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Shard:
    """One of several workers: users with user_key % of == number.

    Raises:
        InputError: the number is not from 0 to of - 1.
    """

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of:
            raise InputError(f"shard {self.number}/{self.of}: the number must be from 0 to {self.of - 1}.")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read "0/4". Raises InputError if it is nothing like it."""
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal()):
            raise InputError(f"shard {text!r}: write the number and how many there are, such as 0/4.")
        return cls(int(number), int(of))
