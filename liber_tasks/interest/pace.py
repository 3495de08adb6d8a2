"""How many calls may be in flight: additive increase, multiplicative decrease, and pauses the server asks for."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Pace:
    """A bound on calls in flight that is halved when the server is overloaded and grows back by one a round."""

    def __init__(self, most: int) -> None:
        """Start at `most` calls in flight, the bound that is never passed."""
        self.bound = float(most)
        self._most = most
        self._in_flight = 0
        self._resume_at = 0.0
        self._halved_at = float("-inf")
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[float]:
        """Hold one of the places in flight; yields the time (monotonic) at which the call may start."""
        async with self._changed:
            while self._in_flight >= int(self.bound):
                await self._changed.wait()
            self._in_flight += 1
        try:
            while (pause := self._resume_at - time.monotonic()) > 0:
                await asyncio.sleep(pause)
            yield time.monotonic()
        finally:
            async with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def overloaded(self, started: float, pause: float) -> None:
        """The server refused a call started at `started`: start none for `pause` seconds, then fewer.

        Calls refused together halve the bound once.
        """
        if started > self._halved_at:
            self.bound = max(1.0, self.bound / 2)
            self._halved_at = time.monotonic()
        self._resume_at = max(self._resume_at, time.monotonic() + pause)

    def answered(self) -> None:
        """The server answered a call: a whole round of answers adds one place."""
        self.bound = min(float(self._most), self.bound + 1 / self.bound)
