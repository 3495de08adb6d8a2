"""What stages share besides tables."""

from typing import Protocol


class Progress(Protocol):
    """Receives how far long work has come; the caller decides how to show it."""

    def __call__(self, done: int, total: int | None, label: str) -> None:
        """`done` of `total` units (None: unknown) of what `label` names."""


def silent(done: int, total: int | None, label: str) -> None:
    """Show nothing."""
