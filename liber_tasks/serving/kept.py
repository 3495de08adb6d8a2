"""What follows from a user's past and the model alone, kept for as long as the past is. Travels with the model."""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from liber_tasks.serving.past import UserPast

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """A value for each past, made once.

    A past that its source keeps is the same object in each request. Its value is kept beside it and goes when it goes:
    it is never older than the past, and nothing of an erased user stays for longer.
    """

    def __init__(self, make: Callable[[Sequence[UserPast]], Sequence[Value]]) -> None:
        """`make`: the values of some pasts, at least one, together; none may hold memory that others share."""
        self._make = make
        self._kept: WeakKeyDictionary[UserPast, Value] = WeakKeyDictionary()
        self._lock = Lock()

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def __call__(self, pasts: Sequence[UserPast]) -> list[Value]:
        """A value for each past; those that are not kept are made together."""
        with self._lock:
            kept = {past: self._kept.get(past) for past in pasts}
        missing = [past for past, value in kept.items() if value is None]
        if missing:
            found = dict(zip(missing, self._make(missing), strict=True))
            with self._lock:
                self._kept.update(found)
            kept |= found
        return [kept[past] for past in pasts]  # type: ignore[misc]
