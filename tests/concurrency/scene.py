"""A database in which calls are interleaved, run by run, each run with a user of its own."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sqlalchemy import create_engine, make_url

from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from tests.concurrency import serial
from tests.concurrency.observed import Seat
from tests.concurrency.serial import Act
from tests.concurrency.stepping import Change, Job, Trace, explore, sample
from tests.partition.oracle import Event, Rule
from tests.partition.streams import write

BASE = [Event(f"b{n}", 1000 + 10 * n) for n in range(7)]
ON_TIME = [Event(f"n{n}", 1075 + 10 * n) for n in range(4)]
LATE = [Event("l0", 1010), Event("l1", 1060), Event("l2", 1062), Event("b3", 1030)]
WATERMARK = 1090  # inside what comes on time
END = 5000
USERS_A_FILE = 100

Acts = Callable[[str], Sequence[Act]]


class Scene:
    """Users, one a run, who have the base behaviours before the acts come."""

    def __init__(self, url: str, settings: Settings, folder: Path) -> None:
        self.engine = create_engine(make_url(url).set(drivername="postgresql+psycopg2"))
        self.seats = [Seat(url, deadlock_timeout="100ms") for _ in range(4)]
        self.settings, self.folder = settings, folder
        self._plays = 0

    def close(self) -> None:
        """Let the connections go."""
        for engine in (self.engine, *(seat.engine for seat in self.seats)):
            engine.dispose()

    def load(self, user: str, name: str, events: Sequence[Event], stops: tuple[str, ...] = serial.INGEST) -> Act:
        """Ingest of a file of these events."""
        return serial.load(self.settings, self.folder, user, name, events, stops)

    def play(
        self,
        acts: Acts,
        last: Acts,
        base: Sequence[Event] = BASE,
        drawn: int = 0,
        changes: Mapping[str, Change] | None = None,
        changed: Sequence[int] | None = None,
    ) -> int:
        """Play all interleavings of acts, or some drawn at random, each followed by the `last` ones; how many.

        Args:
            acts: given a user, the calls that meet.
            last: what comes after them.
            base: what the user has before.
            drawn: so many at random; 0: all.
            changes: name of a statement -> what makes another one of it.
            changed: acts to which that happens; None: all.

        Raises:
            serial.Broken: one came to nothing that an order of its acts explains.
        """
        self._plays += 1
        prefix = f"u{self._plays}-"
        made: dict[int, tuple[str, Sequence[Act]]] = {}

        def setup(number: int) -> Sequence[Job]:
            if base and number % USERS_A_FILE == 0:
                users = {f"{prefix}{n}": base for n in range(number, number + USERS_A_FILE)}
                ingest(self.engine, self.settings, [write(self.folder / f"{prefix}{number}.jsonl", users)])
            user = f"{prefix}{number}"
            made[number] = user, acts(user)
            return [
                act.job(seat, changes if changed is None or n in changed else None)
                for n, (seat, act) in enumerate(zip(self.seats, made[number][1], strict=False))
            ]

        def check(number: int, trace: Trace) -> None:
            user, played = made.pop(number)
            stream = serial.Stream()
            stream.arrive(base)
            serial.check(self.engine, user, stream, played, trace, last(user))

        if drawn:
            sample(self.engine, setup, check, drawn, seed=drawn)
            return drawn
        return explore(self.engine, setup, check)


def sealed_at_last(rule: Rule) -> Acts:
    """The same seal once more, which finds what was not visible to the others; then time passes."""
    return lambda user: [serial.close(user, rule, WATERMARK), serial.close(user, rule, END)]
