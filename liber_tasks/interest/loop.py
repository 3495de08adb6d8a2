"""The closed loop of a learning run: a fixed number of calls in flight, each stored before its place is free again."""

import asyncio
import functools
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, Literal, Protocol

from liber_tasks import logs
from liber_tasks.config import Settings
from liber_tasks.errors import LiberError, ServiceUnavailable
from liber_tasks.interest.budget import Account
from liber_tasks.interest.call import Call, Place
from liber_tasks.interest.ledger import Ledger, Result
from liber_tasks.interest.llm import CallFailed, CallPoison, LlmClient, Spent
from liber_tasks.interest.server.answers import Answer
from liber_tasks.interest.server.length import fitted
from liber_tasks.interest.server.quoted import unquoted
from liber_tasks.types import Progress

UNITS_AHEAD = 16  # users, or pages of items, whose calls are rendered ahead, if these are few
AHEAD = 2  # calls claimed ahead for each one in flight
RENDERED_AHEAD = 8  # calls rendered ahead for each one in flight: enough, whatever the number of units
_log = logging.getLogger("liber.learn")
LABEL = "texts"  # what progress counts
FAILURES_IN_A_ROW = 10  # failed calls without one success between them: the server is ill, stop asking

# Told about each call that ended: the call, its prompt as sent, the answer, when it was asked, and what went wrong.
Watch = Callable[[Call[Place], str, Answer | None, datetime, str | None], None]


class Prepared(Protocol[Place]):
    """A user, or a page of items, with the calls that can be made at once."""

    @property
    def calls(self) -> Sequence[Call[Place]]:
        """In the order to be asked in."""


class Backlog(Protocol[Place]):
    """Which call can be made next."""

    @property
    def ready(self) -> int:
        """Calls that can be made now."""

    def begin(self, prepared: Any) -> None:
        """Add what was prepared."""

    def take(self) -> Call[Place] | None:
        """The next call that can be made now."""

    def put_back(self, call: Call[Place]) -> None:
        """It was taken, and cannot be made yet."""

    def answered(self, done: Call[Place], text: str) -> None:
        """A text was stored."""

    def dropped(self, lost: Call[Place]) -> None:
        """A call brought no text in this run."""


@dataclass
class _Unsaved(Generic[Place]):
    """An answer on its way into the database."""

    result: Result[Place]
    saved: asyncio.Future[bool] = field(repr=False)


class Loop(Generic[Place]):
    """`llm_in_flight` workers: each takes a claimed call, asks, waits until the answer is stored, and takes the next.

    Claims are made ahead, and answers that arrive together are stored together, so that the server does not wait for
    the database. A call counts as in flight until its text is committed: a killed run repeats no more than that.
    """

    def __init__(
        self, settings: Settings, backlog: Backlog[Place], units: Iterator[Sequence[Prepared[Place]]],
        ledger: Ledger[Place], account: Account, total: int, progress: Progress, watch: Watch[Place] | None = None,
    ) -> None:  # fmt: skip
        """Ask for what is prepared in `units`, as far as `account` admits it; `total` is what progress is shown
        against."""
        self._settings = settings
        self._units = units
        self._read: deque[Prepared[Place]] = deque()  # their calls are not in the backlog yet
        self._reading: asyncio.Task[None] | None = None
        self._read_all = False
        self._backlog = backlog
        self._ledger = ledger
        self._account = account
        self._total = total
        self._progress = progress
        self._watch = watch
        self._llm = LlmClient(settings)
        self._done: Counter[str] = Counter()
        self._ready: deque[Call[Place]] = deque()  # claimed, not asked yet
        self._unreturned = 0  # taken from the backlog, and it was not told yet how they ended
        self._ended = False
        self._arrivals = asyncio.Semaphore(0)  # one for each ready call, and for each worker at the end
        self._hungry = asyncio.Event()  # the feeder has something to look at
        self._texts = 0  # stored
        self._failures = 0  # in a row
        self._erased: set[int] = set()  # users that were, while their calls were made
        self._unsaved: list[_Unsaved[Place]] = []
        self._saver: asyncio.Task[None] | None = None
        self._claiming, self._storing = asyncio.Lock(), asyncio.Lock()  # one thread at a time on each connection

    async def go(self) -> Counter[str]:
        """Work until nothing can be asked any more; the first error that is not one call's own ends the run."""
        self._progress(0, self._total, LABEL)
        try:
            async with self._llm:
                tasks = [asyncio.create_task(self._feed())]
                tasks += [asyncio.create_task(self._work()) for _ in range(self._settings.llm_in_flight)]
                try:
                    await asyncio.gather(*tasks)
                finally:
                    tasks += [task for task in (self._reading, self._saver) if task]
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
        except BaseException as error:
            self._ledger.close(f"interrupted: {error}" if isinstance(error, LiberError) else "interrupted")
            raise
        self._ledger.close("not asked: the run's time was over")
        return self._done

    async def _feed(self) -> None:
        """Keep claimed calls ready; end the run when none is left and none can come of an answer."""
        ahead = AHEAD * self._settings.llm_in_flight
        while not self._ended:
            self._hungry.clear()
            if self._reading and self._reading.done():
                await self._reading  # its error is the run's
                self._reading = None
            if not self._read_all and self._reading is None and self._reads_on():
                self._reading = asyncio.create_task(self._read_units())
                self._reading.add_done_callback(lambda _: self._hungry.set())
            calls = self._draw(ahead - len(self._ready)) if len(self._ready) <= ahead // 2 else []
            if calls:
                claimed = await _in_thread(self._claiming, self._ledger.claim, calls)
                for call in calls:
                    if call.key in claimed:
                        (self._ready.appendleft if call.kind == "shift" else self._ready.append)(call)
                        self._arrivals.release()
                    else:
                        self._account.give_back(call)
                        self._unreturned -= 1
                        self._backlog.dropped(call)
            elif not self._unreturned and ((self._read_all and not self._read) or self._account.reached):
                self._ended = True
            else:
                await self._hungry.wait()
        for _ in range(self._settings.llm_in_flight):
            self._arrivals.release()

    def _reads_on(self) -> bool:
        rendered = self._backlog.ready + sum(len(unit.calls) for unit in self._read)
        return len(self._read) < UNITS_AHEAD and rendered < RENDERED_AHEAD * self._settings.llm_in_flight

    async def _read_units(self) -> None:
        """Some more units with their first prompts rendered, off the event loop: it takes a while."""
        found = await asyncio.to_thread(next, self._units, ())
        self._read.extend(found)
        self._read_all = not found

    def _draw(self, most: int) -> list[Call[Place]]:
        """The next calls, as many as the budget admits."""
        calls: list[Call[Place]] = []
        while len(calls) < most and self._account.reached is None:
            call = self._backlog.take()
            if call is None:
                if not self._read:
                    break
                self._backlog.begin(self._read.popleft())
            elif self._account.admits(call):
                self._unreturned += 1
                calls.append(call)
            elif self._account.reached:
                self._backlog.dropped(call)
            else:
                self._backlog.put_back(call)
                break
        return calls

    async def _work(self) -> None:
        while True:
            await self._arrivals.acquire()
            self._hungry.set()
            if not self._ready:
                return
            call = self._ready.popleft()
            if (
                call.place.owner in self._erased or self._account.expired()
            ):  # not asked: closing the ledger gives it back
                self._account.give_back(call)
                self._return(functools.partial(self._backlog.dropped, call))
                continue
            await self._ask(call)

    async def _ask(self, call: Call[Place]) -> None:
        asked_at = datetime.now(UTC)
        try:
            with unquoted(call.prompt):
                prompt, left_out = await fitted(
                    lambda prompt: self._llm.excess(prompt, call.max_tokens), call.shortened, call.parts
                )
                answer = await self._llm.complete(prompt, call.max_tokens)
        except CallPoison as error:
            self._tell(call, call.prompt, None, asked_at, str(error))
            await self._lost(call, "quarantined", str(error), error.spent)
        except CallFailed as error:
            self._tell(call, call.prompt, None, asked_at, str(error))
            await self._lost(call, "failed", str(error), error.spent)
        else:
            kept = await self._store(Result(call, answer, prompt, left_out))
            self._account.settle(call, answer.spent)
            self._failures = 0
            if not kept:
                self._erased.add(call.place.owner)
                self._return(functools.partial(self._backlog.dropped, call))
                return
            self._tell(call, prompt, answer, asked_at, None)
            self._done.update(
                {
                    call.kind: 1,
                    "prompt_tokens": answer.spent.prompt_tokens,
                    "completion_tokens": answer.spent.completion_tokens,
                    "shortened": left_out > 0,
                }
            )
            self._return(functools.partial(self._backlog.answered, call, answer.text))
            self._texts += 1
            self._progress(self._texts, self._total, LABEL)

    async def _lost(self, call: Call[Place], state: Literal["failed", "quarantined"], error: str, spent: Spent) -> None:
        with logs.bound(kind=call.kind, **call.place.numbers):
            _log.warning(
                "call %s: %s", state, error.partition(":")[0]
            )  # what follows may be the model's or the server's
        await _in_thread(self._storing, self._ledger.give_up, [(call, error, spent)], state)
        self._account.settle(call, spent)
        self._done.update({state: 1, "prompt_tokens": spent.prompt_tokens,
                           "completion_tokens": spent.completion_tokens})  # fmt: skip
        self._return(functools.partial(self._backlog.dropped, call))
        self._failures += state == "failed"
        if self._failures >= FAILURES_IN_A_ROW:
            raise ServiceUnavailable(
                f"The last {self._failures} LLM calls at {self._settings.llm_url} failed, the last with: {error}. "
                "Check the server; nothing is lost, re-run to continue."
            )

    def _return(self, update: Callable[[], None]) -> None:
        """Tell the backlog how a call ended; the feeder looks whether something can follow."""
        update()
        self._unreturned -= 1
        self._hungry.set()

    async def _store(self, result: Result[Place]) -> bool:
        """Wait until the answer is committed; those that arrive meanwhile go together. False: its user is erased."""
        mine = _Unsaved(result, asyncio.get_running_loop().create_future())
        self._unsaved.append(mine)
        if self._saver is None or self._saver.done():
            self._saver = asyncio.create_task(self._save())
        return await mine.saved

    async def _save(self) -> None:
        while self._unsaved:
            together, self._unsaved = self._unsaved, []
            try:
                kept = await _in_thread(self._storing, self._ledger.store, [each.result for each in together])
            except BaseException as error:
                for each in together + self._unsaved:
                    if not each.saved.done():
                        each.saved.set_exception(error if isinstance(error, Exception) else asyncio.CancelledError())
                self._unsaved = []
                if not isinstance(error, Exception):
                    raise
                return
            for each in together:
                if not each.saved.done():
                    each.saved.set_result(each.result.call.key in kept)

    def _tell(
        self, call: Call[Place], prompt: str, answer: Answer | None, asked_at: datetime, error: str | None
    ) -> None:
        if self._watch:
            self._watch(call, prompt, answer, asked_at, error)


async def _in_thread(turn: asyncio.Lock, action: Any, *arguments: Any) -> Any:
    """Database work off the event loop, one at a time on its connection."""
    async with turn:
        written = asyncio.ensure_future(asyncio.to_thread(action, *arguments))
        try:
            return await asyncio.shield(written)
        except asyncio.CancelledError:
            while not written.done():  # cancelled again or not, leave no transaction on the connection
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([written])
            raise
