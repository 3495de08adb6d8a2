"""Measures what learning costs with and without partitions (paper, section 4.6.1, Table 6); stores nothing."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError, ServiceUnavailable
from liber_tasks.interest.backlog import Backlog, Partition, PartitionCall, UserWork
from liber_tasks.interest.behavior import Behavior
from liber_tasks.interest.llm import CallFailed, CallPoison, LlmClient
from liber_tasks.interest.loop import FAILURES_IN_A_ROW
from liber_tasks.interest.prompts import KINDS, Kind, knowledge_version
from liber_tasks.interest.server.answers import Answer
from liber_tasks.interest.server.length import fitted
from liber_tasks.interest.study.efficiency_report import (
    LENGTHS,
    EfficiencyReport,
    Measured,
    Name,
    Outcome,
    Totals,
    Variant,
    VariantCost,
    cost_of,
    steps_of,
    variants_of,
)
from liber_tasks.types import Progress, silent


@dataclass(frozen=True)
class Drawn:
    """A user of the sample: the same behaviours, by partition and by step."""

    partitions: UserWork
    behaviors: tuple[Behavior, ...]


def efficiency(
    engine: Engine,
    settings: Settings,
    *,
    users: int = 5,
    steps: int = 10,
    seed: int = 0,
    in_flight: int = 1,
    progress: Progress = silent,
) -> EfficiencyReport:
    """Calls, tokens and time per user of LIBER, of LIBER without shifts, and of asking the LLM at each behaviour.

    Calls are counted over the whole database. Tokens and time are those of questions put to the server now, for users
    drawn among those with two partitions: all their summaries and shifts, and of the variants without partitions some
    steps, evenly spaced. The order of questions is random across variants, so that none finds the server's prefix
    cache warmer than the others; a shift follows its two summaries and shows what was just answered. Questions in the
    same words are put once and count for each variant that has them: LIBER with and without shifts share their
    summaries, and a step whose history is one partition is that partition's summary. Put twice, the second would come
    out of the cache.

    The paper's calls per user on MovieLens-100K are 8.96, 4.98 and 89.06; with the whole data set, K = 20 and full
    partitions only they are 8.76, 4.88 and 106.04 (8,265, 4,604 and 100,000 calls for 943 users). The paper seems to
    have dropped the behaviours of a user beyond some number from 181 to 200 and to have counted the last, unfinished
    partition: that gives 4.98 and 8.96, and with 189 behaviours 89.05. It does not say so.

    Args:
        engine: LIBER database; it is only read, texts learnt before make no difference.
        settings: what `knowledge_version` and `LlmClient` take, but for variant, length and number in flight.
        users: to draw; all there are, if there are fewer.
        steps: at most so many of a user for each variant without partitions.
        seed: of users and order.
        in_flight: calls at once. One gives the paper's serial time; with more a call's time holds waiting for others.
        progress: told about calls.

    Raises:
        InputError: nobody has two partitions, an unknown domain or prompt, or no LLM server is set.
        ServiceUnavailable: the LLM server, MLflow or the database is down.
        LiberError: the LLM server refuses every call.
    """
    begun = time.monotonic()
    knowledge = knowledge_version(settings)
    variants = variants_of(knowledge)
    with database_errors():
        totals, sample = _read(engine, users, seed, knowledge.items)
    if not sample:
        raise InputError("No user has two sealed partitions, so there is nothing to compare: ingest more and seal.")
    backlogs: dict[Name, Backlog] = {each.name: Backlog(each.knowledge) for each in variants if each.name != "no_shift"}
    expected: dict[tuple[Name, Kind, int], tuple[int, int]] = {}  # -> calls of the user, and how many are asked
    for drawn in sample:
        key, count, every = drawn.partitions.user_key, len(drawn.partitions.partitions), len(drawn.behaviors)
        backlogs["full"].begin(backlogs["full"].prepare(drawn.partitions))
        expected["full", "summary", key], expected["full", "shift", key] = (count, count), (count - 1, count - 1)
        chosen = steps_of(every, steps)
        for name, length in LENGTHS.items():
            backlogs[name].begin(backlogs[name].prepare(_by_step(drawn, chosen, length)))
            expected[name, "summary", key] = (every, len(chosen))
    questions = Questions(backlogs, random.Random(seed), sum(asked for _, asked in expected.values()), progress)
    asyncio.run(questions.ask(settings.model_copy(update={"llm_in_flight": in_flight})))

    def cost(variant: Variant) -> VariantCost:
        asked_as: Name = "full" if variant.name == "no_shift" else variant.name
        measured: dict[Kind, dict[int, Measured]] = {kind: {} for kind in variant.kinds}
        for (name, kind, key), (calls, asked) in expected.items():
            if name == asked_as and kind in measured:
                measured[kind][key] = Measured(calls, asked, questions.outcomes[name, kind, key])
        return cost_of(variant, totals, measured)

    of_a_row = ("variant", "length", "summary_origin")
    parameters = {name: value for name, value in knowledge.parameters.items() if name not in of_a_row}
    return EfficiencyReport(
        variants=tuple(cost(variant) for variant in variants),
        model=knowledge.model,
        server=questions.server,
        parameters=parameters,
        prompts={kind: knowledge.templates[kind].version for kind in KINDS},
        users=totals.users,
        partitioned_users=totals.partitioned_users,
        users_sampled=tuple(drawn.partitions.user_id for drawn in sample),
        steps=steps,
        seed=seed,
        in_flight=in_flight,
        questions=questions.put,
        seconds=time.monotonic() - begun,
    )


def _read(engine: Engine, users: int, seed: int, items: str | None) -> tuple[Totals, list[Drawn]]:
    """Counts over the database and the users drawn, as they are at one moment."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True) as connection:
        totals = Totals(**connection.execute(query("efficiency/calls")).one()._asdict())
        drawn = list(connection.execute(query("efficiency/users"), {"users": users, "seed": str(seed)}))
        keys: dict[str, Any] = {"user_keys": [row.user_key for row in drawn]}
        partitions = list(connection.execute(query("efficiency/partitions"), keys))
        rows = list(connection.execute(query("efficiency/behaviors"), keys | {"items": items}))
    behaviors = {
        key: tuple(
            Behavior(row.title, row.attributes, row.kind, row.rating, row.play_seconds, row.said or "")
            for row in of_user
        )
        for key, of_user in groupby(rows, attrgetter("user_key"))
    }
    parts: dict[int, list[Partition]] = defaultdict(list)
    for row in partitions:  # seq is dense from 1
        shown = behaviors[row.user_key][row.first_seq - 1 : row.last_seq]
        parts[row.user_key].append(Partition(row.partition_no, None, False, shown))
    return totals, [
        Drawn(UserWork(row.user_key, row.user_id, row.attributes, tuple(parts[row.user_key])), behaviors[row.user_key])
        for row in drawn
    ]


def _by_step(drawn: Drawn, steps: Iterable[int], length: int) -> UserWork:
    """Work of a variant without partitions: at each step the newest behaviours up to it."""
    shown = (Partition(step, None, False, drawn.behaviors[max(0, step - length) : step]) for step in steps)
    user = drawn.partitions
    return UserWork(user.user_key, user.user_id, user.attributes, tuple(shown))


class Questions:
    """The calls of all variants in random order, equal ones once; a closed loop without a ledger.

    Attributes:
        outcomes: of each variant's calls of a kind about a user.
        put: questions asked.
        server: as it names itself; None until it answers.
    """

    def __init__(self, backlogs: dict[Name, Backlog], dice: random.Random, total: int, progress: Progress) -> None:
        """Take what can be asked now."""
        self.outcomes: dict[tuple[Name, Kind, int], list[Outcome]] = defaultdict(list)
        self.put = 0
        self.server: str | None = None
        self._backlogs = backlogs
        self._dice = dice
        self._total = total
        self._progress = progress
        self._done = self._failures = 0
        self._queue: list[str] = []  # prompts, the last one is next
        self._open: dict[str, list[tuple[Name, PartitionCall]]] = {}  # queued or in flight
        self._known: dict[str, Outcome] = {}
        for name in backlogs:
            self._draw(name)

    async def ask(self, settings: Settings) -> None:
        """Put every question, `llm_in_flight` at once; the first error that is not one call's own ends it."""
        self._progress(0, self._total, "calls measured")
        running: set[asyncio.Task[tuple[str, Outcome]]] = set()
        async with LlmClient(settings) as llm:
            try:
                while self._queue or running:
                    while self._queue and len(running) < settings.llm_in_flight:
                        prompt = self._queue.pop()
                        self.put += 1
                        running.add(asyncio.create_task(self._ask(llm, prompt)))
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        self._settle(*task.result())
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
        if self._done < self._total:  # shifts of lost summaries
            self._progress(self._done, self._done, "calls measured")

    async def _ask(self, llm: LlmClient, whole: str) -> tuple[str, Outcome]:
        call = self._open[whole][0][1]
        try:
            prompt, left_out = await fitted(
                lambda prompt: llm.excess(prompt, call.max_tokens), call.shortened, call.parts
            )
            answer = await llm.complete(prompt, call.max_tokens)
        except CallPoison:
            return whole, Outcome(None, lost="refused")
        except CallFailed as error:
            self._failures += 1
            if self._failures >= FAILURES_IN_A_ROW:
                raise ServiceUnavailable(
                    f"The last {self._failures} LLM calls failed, the last with: {error}. Check the server and "
                    "measure again."
                ) from error
            return whole, Outcome(None, lost="failed")
        self._failures = 0
        self.server = answer.server
        return whole, Outcome(answer, left_out)

    def _settle(self, prompt: str, outcome: Outcome) -> None:
        """Count it for every call with this prompt; what follows from it joins the queue at random places."""
        self._known[prompt] = outcome
        for name, call in self._open.pop(prompt):
            self._count(name, call, outcome.answer)

    def _count(self, name: Name, call: PartitionCall, answer: Answer | None) -> None:
        self.outcomes[name, call.kind, call.place.user_key].append(self._known[call.prompt])
        self._done += 1
        self._progress(self._done, self._total, "calls measured")
        if answer is None:
            self._backlogs[name].dropped(call)
        else:
            self._backlogs[name].answered(call, answer.text)
            self._draw(name)

    def _draw(self, name: Name) -> None:
        while call := self._backlogs[name].take():
            if call.prompt in self._known:
                self._count(name, call, self._known[call.prompt].answer)
            elif call.prompt in self._open:
                self._open[call.prompt].append((name, call))
            else:
                self._open[call.prompt] = [(name, call)]
                self._queue.insert(self._dice.randint(0, len(self._queue)), call.prompt)
