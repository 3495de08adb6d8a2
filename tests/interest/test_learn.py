"""Learning with the real embedded model: every question once, in order, resumable."""

import asyncio
import re
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from liber_tasks.interest import inputs, ledger, loop
from liber_tasks.interest.backlog import Backlog, Prepared
from liber_tasks.interest.budget import Account, Budget
from liber_tasks.interest.learn import learn
from liber_tasks.interest.prompts import knowledge_version
from liber_tasks.interest.timeline import timeline
from liber_tasks.interest.versions import name_version
from liber_tasks.types import silent
from tests.interest.data import add_user, expected, rows, texts
from tests.interest.faults import GOOD, faulty


@pytest.fixture
def live(settings: Settings, llm_url: str) -> Settings:
    """Settings with the embedded server and short answers."""
    short = {"summary_max_tokens": 12, "shift_max_tokens": 8, "llm_guided": False}
    return settings.model_copy(update={"llm_url": llm_url} | short)


def test_every_partition_gets_its_texts_and_a_second_run_asks_nothing(engine: Engine, live: Settings) -> None:
    users = {add_user(engine, "a", 3): 3, add_user(engine, "b", 1): 1}
    first = learn(engine, live, run_id="r1")
    assert texts(engine) == expected(users)
    assert (first.users, first.summaries, first.shifts, first.calls) == (2, 4, 2, 6)
    assert (first.pending_summaries, first.pending_shifts, first.quarantined, first.failed) == (0, 0, 0, 0)
    assert first.prompt_tokens > 6 * 40
    assert 0 < first.completion_tokens <= 4 * 12 + 2 * 8
    states = rows(engine, "SELECT state::text, attempts, run_id, finished_at IS NOT NULL FROM liber.llm_call")
    assert states == [("done", 1, "r1", True)] * 6

    second = learn(engine, live)
    assert (second.calls, second.prompt_tokens, second.knowledge_version) == (0, 0, first.knowledge_version)
    assert texts(engine) == expected(users)


def test_the_timeline_shows_items_texts_and_tokens(engine: Engine, live: Settings) -> None:
    add_user(engine, "a", 2)
    add_user(engine, "b", 1)
    report = learn(engine, live, users=["a"])
    first, second = timeline(engine, "a")
    assert [(item.title, item.rating) for item in first.items] == [("Blade Runner", 2), ("Fargo", 3), ("Alien", 4)]
    assert first.summary
    assert first.shift is None
    assert second.shift
    assert first.prompt_tokens + second.prompt_tokens == report.prompt_tokens
    assert second.knowledge_version == report.knowledge_version
    (unlearnt,) = timeline(engine, "b")
    assert (unlearnt.summary, unlearnt.prompt_tokens, unlearnt.n_behaviors) == (None, 0, 3)
    with pytest.raises(InputError, match="'nobody'"):
        timeline(engine, "nobody")


def test_a_shift_starts_as_soon_as_its_two_summaries_exist(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 6, size=1)
    with faulty(lambda *_: GOOD) as seen:
        learn(engine, settings.model_copy(update={"llm_url": seen.url, "llm_in_flight": 1}))
    kinds = ["shift" if "twice" in prompt else "summary" for prompt in seen.prompts]
    assert sorted(kinds) == ["shift"] * 5 + ["summary"] * 6
    summaries = [place for place, kind in enumerate(kinds) if kind == "summary"]
    shifts = [place for place, kind in enumerate(kinds) if kind == "shift"]
    for number, place in enumerate(shifts):  # at most the calls that were claimed ahead come between
        assert place - summaries[number + 1] <= 1 + loop.AHEAD
    first = list(seen.prompts)[shifts[0]]
    earlier, later = (int(number) for number in re.findall(r'"likes (\d+)"', first))
    assert later == earlier + 1 < shifts[0]  # neighbours, both answered before it was asked


@pytest.mark.parametrize(("calls", "most"), [(1, 1), (10, 2), (22, 3)])
def test_users_are_read_as_far_as_calls_need_them(engine: Engine, settings: Settings, calls: int, most: int) -> None:
    """Ten partitions and one call in flight: a user is enough until fewer calls are left than are rendered ahead."""
    keys, read = [add_user(engine, f"u{n}", 10) for n in range(5)], []
    knowledge = knowledge_version(settings)
    name_version(engine, knowledge)

    backlog = Backlog(knowledge)

    def users() -> Iterator[list[Prepared]]:
        for key in keys:
            read.append(key)
            for found in inputs.work(engine, knowledge, [key]):
                yield [backlog.prepare(user) for user in found]

    with faulty(lambda *_: GOOD) as seen:
        live = settings.model_copy(update={"llm_url": seen.url, "llm_in_flight": 1})
        account = Account(Budget(calls=calls), time.monotonic)
        books = ledger.Ledger(engine, ledger.PARTITIONS, knowledge.version, "run")
        asyncio.run(loop.Loop(live, backlog, users(), books, account, calls, silent).go())
    assert len(seen.times) == calls
    assert len(read) <= most


def test_the_call_budget_is_kept_and_the_next_run_continues(engine: Engine, settings: Settings) -> None:
    users = {add_user(engine, "a", 4): 4}
    with faulty(lambda *_: GOOD) as seen:
        live = settings.model_copy(update={"llm_url": seen.url})
        none = learn(engine, live, max_calls=0)
        first = learn(engine, live, max_calls=3)
        second = learn(engine, live)
    assert (none.calls, none.pending_summaries, none.pending_shifts) == (0, 4, 3)
    assert (first.calls, first.summaries + first.shifts) == (3, 3)
    assert first.pending_summaries + first.pending_shifts == 4
    assert second.calls == 4
    assert texts(engine) == expected(users)


def test_users_learnt_before_count_towards_the_bound(engine: Engine, settings: Settings) -> None:
    late = add_user(engine, "late", 1, day=9)
    active = add_user(engine, "active", 3, day=1)
    add_user(engine, "early", 1, day=0)
    with faulty(lambda *_: GOOD) as seen:
        live = settings.model_copy(update={"llm_url": seen.url})
        assert learn(engine, live, max_users=0).calls == 0
        assert learn(engine, live, max_users=1).users == 1
        assert texts(engine) == expected({late: 1})
        assert learn(engine, live, max_users=1).calls == 0
        by_activity = live.model_copy(update={"learn_order": "active"})
        learn(engine, by_activity, max_users=1)
        assert texts(engine) == expected({late: 1, active: 3})
        assert learn(engine, live, max_users=2).calls == 0
        learn(engine, live, users=["early"])
        assert learn(engine, live).calls == 0
        with pytest.raises(InputError, match="'nobody'"):
            learn(engine, live, users=["early", "nobody"])


def test_a_dry_run_counts_the_calls_and_writes_nothing(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 3)
    add_user(engine, "b", 2)
    plan = learn(engine, settings, dry_run=True)
    assert (plan.calls, plan.summaries, plan.shifts) == (8, 5, 3)
    assert (plan.pending_summaries, plan.pending_shifts) == (5, 3)
    assert plan.completion_tokens == 5 * settings.summary_max_tokens + 3 * settings.shift_max_tokens
    assert rows(engine, "SELECT count(*) FROM liber.llm_call") == [(0,)]
    assert learn(engine, settings, dry_run=True, max_calls=2).calls == 2
    with faulty(lambda *_: GOOD) as seen:
        assert learn(engine, settings.model_copy(update={"llm_url": seen.url})).calls == plan.calls
    assert learn(engine, settings, dry_run=True).calls == 0


def test_texts_of_another_model_are_another_version(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 2)
    with faulty(lambda *_: GOOD) as seen:
        live = settings.model_copy(update={"llm_url": seen.url})
        first = learn(engine, live)
        second = learn(engine, live.model_copy(update={"llm_model": "org/Other-7B"}))
    assert second.calls == first.calls == 3
    assert first.knowledge_version != second.knowledge_version
    assert second.knowledge_version.startswith("Other-7B-movies-")
    assert {entry.knowledge_version for entry in timeline(engine, "a")} == {second.knowledge_version}


def test_progress_ends_at_the_total(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 3)
    told: list[tuple[int, int | None]] = []
    with faulty(lambda *_: GOOD) as seen:
        live = settings.model_copy(update={"llm_url": seen.url})
        learn(engine, live, progress=lambda done, total, _: told.append((done, total)))
    assert told[0] == (0, 5)
    assert told[-1] == (5, 5)
