"""Learning run: asks the LLM for every missing summary and shift, a fixed number in flight (paper, section 3.3)."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.db import database_errors
from liber_tasks.errors import LiberError, ServiceUnavailable
from liber_tasks.interest import ledger as books
from liber_tasks.interest.backlog import Backlog
from liber_tasks.interest.llm import CallFailed, CallPoison, LlmClient
from liber_tasks.interest.prompts import Call, Knowledge, knowledge_version
from liber_tasks.types import Progress, silent

CHARACTERS_PER_TOKEN = 4  # of English text; a dry run estimates with it
FAILURES_IN_A_ROW = 10  # failed calls without one success between them: the server is ill, stop asking


@dataclass(frozen=True)
class LearnReport:
    """What a run did; of a dry run, what it would do.

    Attributes:
        users: users selected, learnt before or not.
        summaries: texts stored now.
        shifts: texts stored now.
        calls: questions put to the LLM; a question that was retried counts once.
        prompt_tokens: of the stored texts, as the server counted them; of a dry run an estimate.
        completion_tokens: likewise; of a dry run the upper bound.
        quarantined: calls set aside now: the server refuses their prompt, or answers nothing.
        failed: calls that failed now; a re-run asks them again.
        seconds: wall time.
        pending_summaries: of the selected users, what a further run can bring.
        pending_shifts: likewise.
        knowledge_version: of the texts.
    """

    users: int
    summaries: int
    shifts: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    quarantined: int
    failed: int
    seconds: float
    pending_summaries: int
    pending_shifts: int
    knowledge_version: str


def learn(
    engine: Engine,
    settings: Settings,
    *,
    users: Sequence[str] | None = None,
    max_users: int | None = None,
    max_calls: int | None = None,
    dry_run: bool = False,
    run_id: str = "cli",
    progress: Progress = silent,
) -> LearnReport:
    """Ask for the summaries and shifts that are missing, each question once.

    A text is committed with its ledger row before its call counts as done. A killed run loses nothing; the next one
    repeats at most the calls that were in flight. Several runs may work at once: each call is made by one.

    Args:
        engine: LIBER database.
        settings: `llm_*`, `domain`, `learn_order`, `*_max_tokens`.
        users: ids to learn; None: the first `max_users` users in `learn_order`.
        max_users: with `users` None: how many users in all, those learnt before included; None: every user.
        max_calls: questions in this run; None: no bound.
        dry_run: count and estimate, ask nothing, write nothing.
        run_id: kept with each call.
        progress: told about texts stored.

    Raises:
        InputError: an unknown user or domain, or no LLM server is set.
        ServiceUnavailable: the LLM server or the database is down; what was stored stays.
        LiberError: the LLM server refuses every call.
    """
    begun = time.monotonic()
    knowledge = knowledge_version(settings)
    with database_errors():
        if users is None:
            keys = books.users_in_order(engine, settings.learn_order, max_users)
        else:
            keys = books.users_named(engine, users)
        before = sum(books.pending(engine, knowledge, keys))
        backlog = Backlog(knowledge, books.work(engine, knowledge, keys))
        if dry_run:
            done = _rehearse(backlog, max_calls)
        elif before and max_calls != 0:
            done = asyncio.run(_Run(engine, settings, knowledge, backlog, max_calls, run_id, before, progress).go())
        else:
            done = Counter()
        summaries, shifts = books.pending(engine, knowledge, keys)
    return LearnReport(
        users=len(keys), summaries=done["summary"], shifts=done["shift"], calls=done["calls"],
        prompt_tokens=done["prompt_tokens"], completion_tokens=done["completion_tokens"],
        quarantined=done["quarantined"], failed=done["failed"], seconds=time.monotonic() - begun,
        pending_summaries=summaries, pending_shifts=shifts, knowledge_version=knowledge.version,
    )  # fmt: skip


def _rehearse(backlog: Backlog, max_calls: int | None) -> Counter[str]:
    """Take every call in turn and pretend the longest answer."""
    done: Counter[str] = Counter()
    while (max_calls is None or done["calls"] < max_calls) and (call := backlog.take()):
        done.update(
            {
                "calls": 1,
                call.kind: 1,
                "prompt_tokens": -(-len(call.prompt) // CHARACTERS_PER_TOKEN),
                "completion_tokens": call.max_tokens,
            }
        )
        backlog.answered(call, "x" * call.max_tokens * CHARACTERS_PER_TOKEN)
    return done


class _Run:
    """A closed loop: `llm_in_flight` workers, each takes a call, asks, stores, and takes the next."""

    def __init__(
        self, engine: Engine, settings: Settings, knowledge: Knowledge, backlog: Backlog, max_calls: int | None,
        run_id: str, total: int, progress: Progress,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._backlog = backlog
        self._budget = float("inf") if max_calls is None else max_calls
        self._total = min(total, self._budget)
        self._progress = progress
        self._llm = LlmClient(settings)
        self._ledger = books.Ledger(engine, knowledge, run_id)
        self._done: Counter[str] = Counter()
        self._taken = 0  # calls being made now
        self._failures = 0  # in a row
        self._changed = asyncio.Condition()
        self._writing = asyncio.Lock()

    async def go(self) -> Counter[str]:
        """Work until nothing can be asked any more; the first error that is not one call's own ends the run."""
        self._progress(0, int(self._total), "interest texts")
        try:
            async with self._llm:
                workers = [asyncio.create_task(self._work()) for _ in range(self._settings.llm_in_flight)]
                try:
                    await asyncio.gather(*workers)
                finally:
                    for worker in workers:
                        worker.cancel()
                    await asyncio.gather(*workers, return_exceptions=True)
        except BaseException as error:
            self._ledger.close(f"interrupted: {error}" if isinstance(error, LiberError) else "interrupted")
            raise
        self._ledger.close("interrupted")
        return self._done

    async def _work(self) -> None:
        while (call := await self._take()) is not None:
            try:
                answer = await self._llm.complete(call.prompt, call.max_tokens)
            except CallPoison as error:
                await self._lost(call, "quarantined", str(error))
            except CallFailed as error:
                await self._lost(call, "failed", str(error))
            else:
                await self._write(self._ledger.store, call, answer)
                self._failures = 0
                self._done.update(
                    {
                        call.kind: 1,
                        "prompt_tokens": answer.prompt_tokens or 0,
                        "completion_tokens": answer.completion_tokens or 0,
                    }
                )
                await self._return(lambda call=call, text=answer.text: self._backlog.answered(call, text))
                self._progress(self._done["summary"] + self._done["shift"], int(self._total), "interest texts")

    async def _take(self) -> Call | None:
        """A claimed call; waits while answers under way may bring one; None when this run has no more."""
        async with self._changed:
            while self._done["calls"] < self._budget:
                call = self._backlog.take()
                if call is None:
                    if not self._taken:
                        break
                    await self._changed.wait()
                elif await self._write(self._ledger.claim, call):
                    self._done["calls"] += 1
                    self._taken += 1
                    return call
                else:
                    self._backlog.dropped(call)
        return None

    async def _lost(self, call: Call, state: Any, error: str) -> None:
        await self._write(self._ledger.give_up, call, state, error)
        self._done[state] += 1
        await self._return(lambda: self._backlog.dropped(call))
        self._failures += state == "failed"
        if self._failures >= FAILURES_IN_A_ROW:
            raise ServiceUnavailable(
                f"The last {self._failures} LLM calls at {self._settings.llm_url} failed, the last with: {error}. "
                "Check the server; nothing is lost, re-run to continue."
            )

    async def _return(self, update: Any) -> None:
        """Tell the backlog how a call ended and wake the workers that wait for it."""
        async with self._changed:
            update()
            self._taken -= 1
            self._changed.notify_all()

    async def _write(self, action: Any, *arguments: Any) -> Any:
        """Database work off the event loop, one at a time: the ledger has one connection."""
        async with self._writing:
            written = asyncio.ensure_future(asyncio.to_thread(action, *arguments))
            try:
                return await asyncio.shield(written)
            except asyncio.CancelledError:
                while not written.done():  # cancelled again or not, leave no transaction on the shared connection
                    with suppress(asyncio.CancelledError):
                        await asyncio.wait([written])
                raise
