"""Item knowledge: asks the LLM for a text about every item that has none, or that has changed since."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import Engine

from liber_tasks import logs
from liber_tasks.config import Settings
from liber_tasks.db import database_errors, query
from liber_tasks.interest import ledger as books
from liber_tasks.interest import versions
from liber_tasks.interest.budget import Account, Bound, Budget
from liber_tasks.interest.call import ItemPlace
from liber_tasks.interest.item_backlog import ItemBacklog, due, items_in_order, pages
from liber_tasks.interest.item_prompt import ItemKnowledge
from liber_tasks.interest.loop import Loop
from liber_tasks.interest.plan import CHARACTERS_PER_TOKEN
from liber_tasks.interest.traces import Traces
from liber_tasks.types import Progress, Shard, silent

ITEMS_RENDERED = 500  # whose prompts a dry run renders; those of further items are reckoned alike

ITEMS: books.Subject[ItemPlace] = books.Subject(
    claim="items/claim",
    store="items/store",
    places=lambda calls: {
        "item_keys": [call.place.item_key for call in calls],
        "attributes_sha256": [call.place.attributes_sha256 for call in calls],
    },
    release="items/release",
    text=lambda call: ["item", call.place.item_key],
)


@dataclass(frozen=True)
class ItemsReport:
    """What a run did; of a dry run, what it would do.

    Attributes:
        items: selected, described before or not.
        texts: stored now, those that replaced one of a changed item included.
        calls: questions put to the LLM; a question that was retried counts once.
        prompt_tokens: over all tries, as the server counted them; of a dry run an estimate.
        completion_tokens: likewise; of a dry run as long as answers were so far, or the upper bound.
        quarantined: calls set aside now: the server refuses their prompt, or does not answer in a usable way.
        failed: calls that failed now; a re-run asks them again.
        shortened: prompts that left out attributes because the server's context is short.
        stopped_by: bound of the budget that ended the run; None: nothing was left to ask.
        seconds: wall time.
        hours: of a dry run, at the rate of the newest calls of this model about items; None: unknown, or no dry run.
        pending: of the selected items, what a further run can bring.
        knowledge_version: of the texts.
    """

    items: int
    texts: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    quarantined: int
    failed: int
    shortened: int
    stopped_by: Bound | None
    seconds: float
    hours: float | None
    pending: int
    knowledge_version: str


@dataclass(frozen=True)
class ItemCost:
    """What a run would do; as `ItemsReport` has it."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    hours: float | None


def learn_items(
    engine: Engine,
    settings: Settings,
    *,
    max_items: int | None = None,
    max_calls: int | None = None,
    max_tokens: int | None = None,
    max_seconds: float | None = None,
    shard: Shard | None = None,
    retry_quarantined: bool = False,
    dry_run: bool = False,
    run_id: str | None = None,
    progress: Progress = silent,
) -> ItemsReport:
    """Ask for the texts that are missing, and for new ones of items that have changed, each question once.

    A text is committed with its ledger row before its call counts as done. A killed run loses nothing; the next one
    repeats at most the calls that were in flight. Several runs may work at once: each call is made by one.

    Args:
        engine: LIBER database.
        settings: what `versions.items_in_use` and `LlmClient` take, `trace_share`.
        max_items: how many items in all, the most popular first, those described before included; None: every item.
        max_calls: questions in this run; None: no bound. What an earlier try under the same `run_id` asked counts.
        max_tokens: of prompts and answers, likewise.
        max_seconds: after which no call is begun.
        shard: this part of the items only.
        retry_quarantined: ask those calls again that were set aside.
        dry_run: count and estimate, ask nothing, write nothing.
        run_id: kept with each call; None: a new one.
        progress: told about texts stored.

    Raises:
        InputError: an unknown domain, prompt or knowledge version, or no LLM server is set.
        ServiceUnavailable: the LLM server, MLflow or the database is down; what was stored stays.
        LiberError: the LLM server refuses every call.
    """
    begun = time.monotonic()
    knowledge = versions.items_in_use(engine, settings)
    settings = settings.model_copy(update={"llm_model": knowledge.model, "llm_guided": knowledge.guided})
    run_id = run_id or logs.new_run()
    budget = Budget(max_calls, max_tokens, max_seconds)
    done: Counter[str] = Counter()
    about = {"run": run_id, "shard": shard and str(shard), "knowledge_version": knowledge.version}
    with database_errors(), logs.stage("plan" if dry_run else "learn", **about):
        keys = items_in_order(engine, max_items, shard or Shard())
        if dry_run:
            missing = due(engine, knowledge, keys)
            plan = cost(engine, knowledge, missing, budget)
            return ItemsReport(
                items=len(keys), texts=plan.calls, calls=plan.calls, prompt_tokens=plan.prompt_tokens,
                completion_tokens=plan.completion_tokens, quarantined=0, failed=0, shortened=0, stopped_by=None,
                seconds=time.monotonic() - begun, hours=plan.hours, pending=len(missing),
                knowledge_version=knowledge.version,
            )  # fmt: skip
        versions.write_down(engine, settings, knowledge)
        if retry_quarantined:
            books.release(engine, ITEMS, knowledge.version, keys)
        books.interrupted(engine, run_id)
        account = Account(budget.less(*books.spent(engine, run_id)), time.monotonic)
        missing = due(engine, knowledge, keys)
        if missing:
            total = len(missing) if budget.calls is None else min(len(missing), budget.calls)
            ledger = books.Ledger(engine, ITEMS, knowledge.version, run_id)
            units = pages(engine, knowledge, missing)
            with closing(Traces(settings, run_id, knowledge.version)) as traces:
                loop = Loop(settings, ItemBacklog(), units, ledger, account, total, progress, traces.watch)
                done.update(asyncio.run(loop.go()))
        pending = len(due(engine, knowledge, keys))
    return ItemsReport(
        items=len(keys), texts=done["item"], calls=account.calls, prompt_tokens=done["prompt_tokens"],
        completion_tokens=done["completion_tokens"], quarantined=done["quarantined"], failed=done["failed"],
        shortened=done["shortened"], stopped_by=account.reached if pending else None,
        seconds=time.monotonic() - begun, hours=None, pending=pending, knowledge_version=knowledge.version,
    )  # fmt: skip


def cost(engine: Engine, knowledge: ItemKnowledge, item_keys: Sequence[int], budget: Budget) -> ItemCost:
    """Cost of asking about these items, as far as the budget goes; nothing is asked, nothing is written.

    Calls are counted exactly. Prompts are rendered for the first items only and the rest is reckoned by their mean.
    """
    with engine.connect() as connection:
        known = connection.execute(query("items/rate"), {"model": knowledge.model}).one()
    per_token = known.characters_per_token or CHARACTERS_PER_TOKEN
    tokens = known.tokens or knowledge.max_tokens["item"]
    rate = known.calls / known.seconds if known.seconds else None
    rendered = pages(engine, knowledge, item_keys[:ITEMS_RENDERED])
    sizes = [len(call.prompt) for (page,) in rendered for call in page.calls]
    mean = sum(sizes) / len(sizes) / per_token if sizes else 0.0
    calls = len(item_keys) if budget.calls is None else min(len(item_keys), budget.calls)
    if budget.tokens is not None and calls:
        calls = min(calls, int(budget.tokens / (mean + tokens)))
    if budget.seconds is not None and rate:
        calls = min(calls, int(budget.seconds * rate))
    return ItemCost(calls, round(calls * mean), round(calls * tokens), calls / rate / 3600 if rate else None)
