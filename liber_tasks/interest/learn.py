"""Learning run: asks the LLM for every missing summary and shift (paper, section 3.3)."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import Engine

from liber_tasks import logs
from liber_tasks.config import Settings
from liber_tasks.db import database_errors
from liber_tasks.interest import inputs, versions
from liber_tasks.interest import ledger as books
from liber_tasks.interest.backlog import Backlog
from liber_tasks.interest.budget import Account, Bound, Budget
from liber_tasks.interest.loop import Loop
from liber_tasks.interest.plan import cost
from liber_tasks.interest.traces import Traces
from liber_tasks.types import Progress, Shard, silent


@dataclass(frozen=True)
class LearnReport:
    """What a run did; of a dry run, what it would do.

    Attributes:
        users: users selected, learnt before or not.
        summaries: texts stored now.
        shifts: texts stored now.
        calls: questions put to the LLM; a question that was retried counts once.
        prompt_tokens: over all tries, as the server counted them; of a dry run an estimate.
        completion_tokens: likewise; of a dry run as long as answers were so far, or the upper bound.
        quarantined: calls set aside now: the server refuses their prompt, or does not answer in a usable way.
        failed: calls that failed now; a re-run asks them again.
        shortened: prompts that left out old behaviours because the server's context is short.
        adopted: summaries taken over from a version that asked for them in the same words.
        stopped_by: bound of the budget that ended the run; None: nothing was left to ask.
        seconds: wall time.
        hours: of a dry run, at the rate of the newest calls of this model; None: unknown, or no dry run.
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
    shortened: int
    adopted: int
    stopped_by: Bound | None
    seconds: float
    hours: float | None
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
    max_tokens: int | None = None,
    max_seconds: float | None = None,
    shard: Shard | None = None,
    retry_quarantined: bool = False,
    dry_run: bool = False,
    run_id: str | None = None,
    progress: Progress = silent,
) -> LearnReport:
    """Ask for the summaries and shifts that are missing, each question once.

    A text is committed with its ledger row before its call counts as done. A killed run loses nothing; the next one
    repeats at most the calls that were in flight. Several runs may work at once: each call is made by one.

    Args:
        engine: LIBER database.
        settings: what `versions.in_use` and `LlmClient` take, `learn_order`, `trace_share`.
        users: ids to learn; None: the first `max_users` users in `learn_order`.
        max_users: with `users` None: how many users in all, those learnt before included; None: every user.
        max_calls: questions in this run; None: no bound. What an earlier try under the same `run_id` asked counts.
        max_tokens: of prompts and answers, likewise.
        max_seconds: after which no call is begun.
        shard: this part of the users only.
        retry_quarantined: ask those calls again that were set aside.
        dry_run: count and estimate, ask nothing, write nothing.
        run_id: kept with each call; None: a new one.
        progress: told about texts stored.

    Raises:
        InputError: an unknown user, domain, prompt or knowledge version, or no LLM server is set.
        ServiceUnavailable: the LLM server, MLflow or the database is down; what was stored stays.
        LiberError: the LLM server refuses every call.
    """
    begun = time.monotonic()
    knowledge = versions.in_use(engine, settings)
    settings = settings.model_copy(update={"llm_model": knowledge.model, "llm_guided": knowledge.guided})
    run_id = run_id or logs.new_run()
    budget = Budget(max_calls, max_tokens, max_seconds)
    done: Counter[str] = Counter()
    about = {"run": run_id, "shard": shard and str(shard), "knowledge_version": knowledge.version}
    with database_errors(), logs.stage("plan" if dry_run else "learn", **about):
        inputs.check_described(engine, knowledge)
        if users is None:
            keys = inputs.users_in_order(engine, settings.learn_order, max_users, shard or Shard())
        else:
            keys = inputs.users_named(engine, users)
        if dry_run:
            plan = cost(engine, knowledge, keys, budget)
            summaries, shifts = inputs.pending(engine, knowledge, keys)
            return LearnReport(
                users=len(keys), summaries=plan.summaries, shifts=plan.shifts, calls=plan.calls,
                prompt_tokens=plan.prompt_tokens, completion_tokens=plan.completion_tokens, quarantined=0, failed=0,
                shortened=0, adopted=0, stopped_by=None, seconds=time.monotonic() - begun, hours=plan.hours,
                pending_summaries=summaries, pending_shifts=shifts, knowledge_version=knowledge.version,
            )  # fmt: skip
        versions.write_down(engine, settings, knowledge)
        done["adopted"] = books.adopt(engine, knowledge, keys)
        if retry_quarantined:
            books.release(engine, books.PARTITIONS, knowledge.version, keys)
        books.interrupted(engine, run_id)
        account = Account(budget.less(*books.spent(engine, run_id)), time.monotonic)
        before = sum(inputs.pending(engine, knowledge, keys))
        if before:
            backlog = Backlog(knowledge)
            units = ([backlog.prepare(user) for user in users] for users in inputs.work(engine, knowledge, keys))
            total = before if budget.calls is None else min(before, budget.calls)
            with closing(Traces(settings, run_id, knowledge.version)) as traces:
                ledger = books.Ledger(engine, books.PARTITIONS, knowledge.version, run_id)
                loop = Loop(settings, backlog, units, ledger, account, total, progress, traces.watch)
                done.update(asyncio.run(loop.go()))
        summaries, shifts = inputs.pending(engine, knowledge, keys)
    return LearnReport(
        users=len(keys), summaries=done["summary"], shifts=done["shift"], calls=account.calls,
        prompt_tokens=done["prompt_tokens"], completion_tokens=done["completion_tokens"],
        quarantined=done["quarantined"], failed=done["failed"], shortened=done["shortened"], adopted=done["adopted"],
        stopped_by=account.reached if summaries + shifts else None, seconds=time.monotonic() - begun, hours=None,
        pending_summaries=summaries, pending_shifts=shifts, knowledge_version=knowledge.version,
    )  # fmt: skip
