"""Worker processes of the crash tests: the real command line, in processes forked from one that has it loaded."""

import multiprocessing
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

from liber_tasks import cli, db
from liber_tasks.partition import stream
from liber_tasks.partition.cuts import request_cuts
from tests.concurrency import observed
from tests.concurrency.workload import END, Plan, random_plan
from tests.partition.streams import moment

USERS_A_TRANSACTION = 2  # of sealing, so that a run is many transactions


@dataclass(frozen=True)
class Moment:
    """When a worker tells its parent and waits: before or after the n-th time that it executes a statement."""

    name: str
    after: bool = False
    nth: int = 1


@dataclass(frozen=True)
class Duty:
    """What a worker does.

    Attributes:
        url: of the database.
        seed: of the plan.
        folder: of its files, and of the marks of those that are finished.
        files: numbers of those to ingest, in order; none: seal.
        shard: part of the users to seal.
        moment: where it waits, if anywhere.
    """

    url: str
    seed: int
    folder: Path
    files: Sequence[int] = ()
    shard: str = "0/1"
    moment: Moment | None = None


def finished(folder: Path) -> set[int]:
    """Files that are loaded and whose cut points were asked for, by the marks of the workers."""
    return {int(mark.stem) for mark in folder.glob("*.done")}


class Hold(observed.Watch):
    """Tells the parent at the moment, and waits for the answer."""

    def __init__(self, moment: Moment | None, parent: Connection) -> None:
        self._moment, self._parent, self._times = moment, parent, 0

    def before(self, name: str, statement: str, backend: int) -> str:
        self._met(name, after=False)
        return statement

    def after(self, name: str) -> None:
        self._met(name, after=True)

    def _met(self, name: str, after: bool) -> None:
        if self._moment and (name, after) == (self._moment.name, self._moment.after):
            self._times += 1
            if self._times == self._moment.nth:
                self._parent.send("there")
                self._parent.recv()


def work(duty: Duty, parent: Connection, log: Path) -> None:
    """Be a worker: ends with the exit status and the words on stderr of the first command that fails."""
    with log.open("w") as sink:
        os.dup2(sink.fileno(), 2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    os.environ["LIBER_DATABASE_URL"] = duty.url
    os.chdir(duty.folder)  # no .env of the developer's
    stream.USERS_A_TRANSACTION = USERS_A_TRANSACTION
    _watch(Hold(duty.moment, parent))
    plan = random_plan(duty.seed)
    for number in duty.files:
        _liber("ingest", f"{number:02}.jsonl")
        _ask(duty.url, plan, number)
        Path(f"{number:02}.done").touch()
    watermark = END if duty.files else 0
    while watermark < END:
        watermark = plan.watermark(finished(duty.folder))
        _liber("seal", "--watermark", moment(watermark).isoformat(), "--shard", duty.shard, *options(plan))


def options(plan: Plan) -> list[str]:
    """The plan's rule on the command line."""
    rule = plan.rule
    given = {"--gap": rule.gap, "--max-age": rule.max_age}
    words = [word for name, span in given.items() if span for word in (name, f"{span}s")]
    return ["--k", str(rule.k or 0), "--min-events", str(rule.min_events), *words] + (
        ["--model", "requested"] if rule.model else []
    )


def _liber(*arguments: str) -> None:
    sys.argv = ["liber", *arguments]
    try:
        cli.main()
    except SystemExit as end:
        if end.code:
            raise


def _ask(url: str, plan: Plan, number: int) -> None:
    """There is no command for it: any model may call it, and reports like the command line does."""
    try:
        request_cuts(db.engine(url), plan.files[number].requests(), "test")
    except cli.LiberError as error:
        print(f"liber: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _watch(guest: observed.Watch) -> None:
    """Have every connection of this process observed."""
    seat, make = SimpleNamespace(guest=guest), db.engine
    db.engine = lambda url: observed.observe(make(url), seat)


class Worker:
    """A started worker process."""

    _start = multiprocessing.get_context("forkserver")

    def __init__(self, duty: Duty, log: Path) -> None:
        self._start.set_forkserver_preload([__name__])
        self.log = log
        self._here, there = self._start.Pipe()
        self._process = self._start.Process(target=work, args=(duty, there, log), daemon=True)
        self._process.start()
        there.close()

    def reaches(self, seconds: float) -> bool:
        """Wait until it is at its moment; False: it ended, or ran so long, without."""
        try:
            return self._here.poll(seconds) and self._here.recv() == "there"
        except EOFError:
            return False

    def let_go(self) -> None:
        """Let it go on, if it is still there."""
        with suppress(BrokenPipeError):
            self._here.send("go on")

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def ended(self) -> tuple[int, str]:
        """Wait for its end: exit status and stderr."""
        self._process.join(60)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError("A worker did not end.")
        return self._process.exitcode, self.log.read_text()
