"""How many calls may be in flight: additive increase, multiplicative decrease, and pauses the server asks for."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SPREAD_SECONDS = 1.0  # after a pause calls resume spread over so long, or over half the pause if that is shorter


class Pace:
    """A bound on calls in flight: halved when the server is overloaded, one when it is down.

    It doubles with each round of answers up to the last bound that proved too high, halved; from there it grows by one
    a round. So a server that comes back meets one call, then two, then four, not all that waited.
    """

    def __init__(self, most: int) -> None:
        """Start at `most` calls in flight, the bound that is never passed."""
        self.bound = float(most)
        self._most = most
        self._steep_below = 0.0
        self._worked = True  # a call was answered since the bound was lowered last
        self._in_flight = 0
        self._resume_at = 0.0
        self._spread = 0.0
        self._changed_at = float("-inf")
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
                await asyncio.sleep(pause + random.uniform(0, self._spread))
            yield time.monotonic()
        finally:
            async with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def overloaded(self, started: float, pause: float) -> None:
        """The server refused a call started at `started`: start none for `pause` seconds, then fewer.

        Calls refused together halve the bound once.
        """
        self._lower(started, self.bound / 2, pause)

    def down(self, started: float, pause: float) -> None:
        """Nobody took the call started at `started`: after `pause` seconds let one call try, the others wait."""
        self._lower(started, 1.0, pause)

    def answered(self) -> None:
        """The server answered a call: a round of answers doubles a bound that is low, or adds one place."""
        self._worked = True
        grown = 1.0 if self.bound < self._steep_below else 1 / self.bound
        self.bound = min(float(self._most), self.bound + grown)

    def _lower(self, started: float, bound: float, pause: float) -> None:
        now = time.monotonic()
        if started > self._changed_at:
            if self._worked:  # while it stays down or full, what it last took is not forgotten
                self._steep_below, self._worked = self.bound / 2, False
            self.bound = max(1.0, bound)
            self._changed_at = now
        if now + pause > self._resume_at:
            self._resume_at = now + pause
            self._spread = min(SPREAD_SECONDS, pause / 2)


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for (a number or an HTTP date); None when it asks for nothing.

    Args:
        header: its value.
        now: with time zone.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
        except ValueError:
            return None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp()
    return max(0.0, seconds) if seconds < float("inf") else None
