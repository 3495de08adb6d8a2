"""Interleavings by hand: calls of the product in threads of their own that stop before chosen statements.

One is let go at a time, until it stops again, ends, or waits for a lock that another one holds (PostgreSQL says so).
`explore` runs every order in which that can happen, depth first; who waits is not let go, so that no two runs are
the same.
"""

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sqlalchemy import Engine, text

from tests.concurrency import observed

PATIENCE = 60  # seconds until a test is given up
WAITING = text("SELECT count(*) FROM unnest(:backends) AS b WHERE cardinality(pg_blocking_pids(b)) > 0")
Change = Callable[[str], str]


class Job(observed.Watch):
    """A call of the product that stops before some of its statements.

    Attributes:
        result: what the call returned.
        error: what it raised.
    """

    def __init__(
        self,
        seat: observed.Seat,
        call: Callable[[Engine], object],
        stops: Sequence[str],
        changes: Mapping[str, Change] | None = None,
    ) -> None:
        """Nothing runs before `start`.

        Args:
            seat: where it sits; nobody else meanwhile.
            call: given an engine, the work to do.
            stops: names of statements, or "commit".
            changes: name of a statement -> what makes the text to send out of its text.
        """
        self.result: Any = None
        self.error: BaseException | None = None
        self.at = ""  # the stop where it stands
        self.backend = 0
        self._stops, self._changes = frozenset(stops), changes or {}
        unknown = {*stops, *self._changes} - observed.NAMES
        if unknown:
            raise ValueError(f"No statement is called {unknown}: it would never be reached.")
        self._moved, self._go = threading.Condition(), threading.Semaphore(0)
        self._seat = seat
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)

    def _run(self, call: Callable[[Engine], object]) -> None:
        self._seat.guest = self
        try:
            self.result = call(self._seat.engine)
        except BaseException as error:
            self.error = error
        finally:
            self._seat.guest = observed.Watch()
            self._stand("end")

    def _stand(self, at: str) -> None:
        with self._moved:
            self.at = at
            self._moved.notify_all()

    def before(self, name: str, statement: str, backend: int) -> str:
        self.backend = backend
        if name in self._stops:
            self._stand(name)
            assert self._go.acquire(timeout=PATIENCE)
        return self._changes[name](statement) if name in self._changes else statement

    def start(self) -> None:
        self._thread.start()

    def let_go(self) -> None:
        self.at = ""
        self._go.release()

    def wait(self, seconds: float) -> None:
        """Until it stands somewhere, or for so long."""
        with self._moved:
            self._moved.wait_for(lambda: self.at, seconds)

    @property
    def ended(self) -> bool:
        return self.at == "end"


@dataclass
class Trace:
    """One run: who was let go at each step, among whom, and where it stood."""

    jobs: Sequence[Job]
    chosen: list[int] = field(default_factory=list)
    able: list[list[int]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)  # job -> step after which it had ended

    def before(self, first: int, second: int) -> bool:
        """Whether one job had ended when the other one began."""
        return second in self.chosen and self.ends[first] < self.chosen.index(second)

    def __str__(self) -> str:
        return " ".join(self.steps)


def play(server: Engine, jobs: Sequence[Job], choose: Callable[[int, list[int]], int]) -> Trace:
    """Run jobs to their ends. `choose(step, able)` says who of those able goes on.

    Raises:
        TimeoutError: nobody moved for a minute.
    """
    trace = Trace(jobs)
    for job in jobs:
        job.start()
    for step in count():
        able = _settle(server, jobs)
        for number, job in enumerate(jobs):
            if job.ended:
                trace.ends.setdefault(number, step - 1)
        if not able:
            break
        number = choose(step, able)
        trace.able.append(able)
        trace.chosen.append(number)
        trace.steps.append(f"{number}:{jobs[number].at}")
        jobs[number].let_go()
    return trace


def _settle(server: Engine, jobs: Sequence[Job]) -> list[int]:
    """Wait until each job stands or waits for another one; numbers of those that stand at a stop. None: all ended."""
    for _ in range(PATIENCE * 500):
        moving = [job for job in jobs if not job.at]
        stopped = [number for number, job in enumerate(jobs) if job.at and not job.ended]
        if not moving:
            return stopped
        # nobody at a stop: a deadlock is about to be found, or the last ones are running
        if stopped and wait_for_locks(server, moving) and not any(job.at for job in moving):
            return stopped
        moving[0].wait(0.002)
    raise TimeoutError([job.at for job in jobs])


def wait_for_locks(server: Engine, jobs: Sequence[Job]) -> bool:
    """Whether all of them do."""
    with server.connect() as connection:
        return bool(connection.execute(WAITING, {"backends": [job.backend for job in jobs]}).scalar_one() == len(jobs))


def explore(server: Engine, setup: Callable[[int], Sequence[Job]], check: Callable[[int, Trace], None]) -> int:
    """Play every interleaving.

    Args:
        server: engine that asks who waits.
        setup: given the number of the run, prepares it and returns its jobs, always the same ones.
        check: raises when the outcome is not what was promised.

    Returns:
        How many were played.
    """
    prefix: list[int] = []
    for number in count():

        def choose(step: int, able: list[int], prefix: list[int] = prefix) -> int:
            return prefix[step] if step < len(prefix) and prefix[step] in able else able[0]

        trace = play(server, setup(number), choose)
        check(number, trace)
        chosen, able = trace.chosen, trace.able
        while chosen and chosen[-1] == able[-1][-1]:
            chosen.pop()
            able.pop()
        if not chosen:
            return number + 1
        prefix = [*chosen[:-1], able[-1][able[-1].index(chosen[-1]) + 1]]
    raise AssertionError


def sample(
    server: Engine, setup: Callable[[int], Sequence[Job]], check: Callable[[int, Trace], None], runs: int, seed: int
) -> None:
    """Play so many interleavings, drawn at random: for jobs that have too many."""
    dice = random.Random(seed)
    for number in range(runs):
        check(number, play(server, setup(number), lambda _, able: dice.choice(able)))
