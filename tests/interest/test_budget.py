"""Budgets: an account never passes its bounds, and a run that stops at one is continued by the next."""

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.interest import learn as learning
from liber_tasks.interest.backlog import PartitionCall
from liber_tasks.interest.budget import CHARACTERS_PER_TOKEN, Account, Budget
from liber_tasks.interest.call import Call, PartitionPlace
from liber_tasks.interest.learn import learn
from liber_tasks.interest.llm import Spent
from liber_tasks.learning import share
from liber_tasks.types import Shard
from tests.interest.data import add_user, expected, rows, texts
from tests.interest.faults import GOOD, Reply, Seen, completion, faulty


def call(number: int, characters: int, max_tokens: int) -> PartitionCall:
    """A question of that length."""
    return Call(
        f"key {number}", PartitionPlace("a", 1, number), "summary", "x" * characters, max_tokens, lambda _: "", 0
    )


class Spending(RuleBasedStateMachine):
    """Any order of calls that are admitted, answered, failed and given back, on a clock of its own."""

    @initialize(
        calls=st.none() | st.integers(0, 6),
        tokens=st.none() | st.integers(0, 400),
        seconds=st.none() | st.integers(0, 9),
    )
    def begin(self, calls: int | None, tokens: int | None, seconds: int | None) -> None:
        self.now = 100.0
        self.budget = Budget(calls, tokens, seconds)
        self.account = Account(self.budget, lambda: self.now)
        self.open: list[PartitionCall] = []
        self.made = self.asked = self.spent = 0

    @rule(size=st.integers(0, 60), max_tokens=st.integers(1, 40))
    def ask(self, size: int, max_tokens: int) -> None:
        """Prompts have exactly as many characters a token as assumed, so a reservation is the most it can cost."""
        new = call(self.asked, int(size * CHARACTERS_PER_TOKEN), max_tokens)
        self.asked += 1
        reserved = sum(self.cost(each) for each in self.open)
        over = (
            (self.budget.calls is not None and self.made >= self.budget.calls)
            or (self.budget.tokens is not None and self.spent + reserved + size + max_tokens > self.budget.tokens)
            or self.late()
        )
        assert self.account.admits(new) is not over  # neither too much nor too little
        if over:  # open calls may turn out cheaper, or be given back
            assert (self.account.reached is not None) or (self.open and not self.late())
        else:
            self.made += 1
            self.open.append(new)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        done = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        spent = Spent(round(len(done.prompt) / CHARACTERS_PER_TOKEN), data.draw(st.integers(0, done.max_tokens)))
        self.account.settle(done, spent)
        self.spent += spent.prompt_tokens + spent.completion_tokens

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        self.account.settle(self.open.pop(data.draw(st.integers(0, len(self.open) - 1))), Spent())

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        self.account.give_back(self.open.pop(data.draw(st.integers(0, len(self.open) - 1))))
        self.made -= 1

    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds: int) -> None:
        self.now += seconds
        assert self.account.expired() is self.late()

    @invariant()
    def nothing_is_over_its_bound(self) -> None:
        if not hasattr(self, "account"):
            return
        assert (self.account.calls, self.account.tokens) == (self.made, self.spent)
        assert self.account.calls <= (math.inf if self.budget.calls is None else self.budget.calls)
        assert self.account.tokens <= (math.inf if self.budget.tokens is None else self.budget.tokens)

    def late(self) -> bool:
        return self.budget.seconds is not None and self.now - 100.0 >= self.budget.seconds

    @staticmethod
    def cost(each: PartitionCall) -> int:
        return round(len(each.prompt) / CHARACTERS_PER_TOKEN) + each.max_tokens


TestSpending = Spending.TestCase
TestSpending.settings = bounded(max_examples=60, stateful_step_count=25, deadline=None)


def test_the_bound_that_was_reached_is_named() -> None:
    now = 0.0
    for budget, name in (
        (Budget(calls=0), "max_calls"),
        (Budget(tokens=5), "max_tokens"),
        (Budget(seconds=0), "max_time"),
    ):
        account = Account(budget, lambda: now)
        assert account.reached is None
        assert not account.admits(call(1, 30, 10))
        assert account.reached == name


def test_the_length_of_a_token_is_learnt_from_answers() -> None:
    account = Account(Budget(tokens=1000), lambda: 0.0)
    first = call(1, 300, 0)
    assert account.admits(first)
    account.settle(first, Spent(300, 0))  # a token a character, not one of three
    assert not account.admits(call(2, 701, 0))
    assert account.admits(call(3, 700, 0))


@given(calls=st.none() | st.integers(0, 50), tokens=st.none() | st.integers(0, 50))
@bounded(deadline=None)
def test_what_was_spent_before_is_not_there_any_more(calls: int | None, tokens: int | None) -> None:
    left = Budget(calls, tokens, 7.0).less(20, 30, 2.5)
    assert (left.calls, left.tokens, left.seconds) == (
        None if calls is None else max(0, calls - 20), None if tokens is None else max(0, tokens - 30), 4.5,
    )  # fmt: skip
    assert Budget(calls, tokens).less(20, 30, 2.5).seconds is None


@given(bound=st.none() | st.integers(0, 50), parts=st.integers(1, 9))
@bounded(deadline=None)
def test_the_shares_of_shards_are_the_whole(bound: int | None, parts: int) -> None:
    shares = [share(bound, Shard(number, parts)) for number in range(parts)]
    if bound is None:
        assert shares == [None] * parts
    else:
        assert sum(each or 0 for each in shares) == bound
        assert max(each or 0 for each in shares) - min(each or 0 for each in shares) <= 1


def at(settings: Settings, server: Seen, **changes: Any) -> Settings:
    """Settings for a server, one call at a time."""
    return settings.model_copy(update={"llm_url": server.url, "llm_in_flight": 1, "llm_patience": 0.5} | changes)


def measured(asked: dict[str, Any]) -> str:
    """An answer whose prompt had a token for every four characters, and which took five itself."""
    said = json.loads(completion("likes slow films"))
    said["usage"] = {"prompt_tokens": len(asked["messages"][0]["content"]) // 4, "completion_tokens": 5}
    return json.dumps(said)


COUNTED = Reply(body=measured)


def test_max_calls_stops_a_run_and_the_next_continues(engine: Engine, settings: Settings) -> None:
    users = {add_user(engine, "a", 4): 4}
    with faulty(lambda *_: COUNTED) as seen:
        first = learn(engine, at(settings, seen, llm_in_flight=8), max_calls=3)
        assert (first.calls, first.stopped_by, sum(seen.prompts.values())) == (3, "max_calls", 3)
        assert first.pending_summaries + first.pending_shifts == 4
        exact = learn(engine, at(settings, seen), max_calls=4)
        assert (exact.calls, exact.stopped_by) == (4, None)  # the bound was reached, but nothing is left
    assert texts(engine) == expected(users)


def test_max_tokens_is_never_passed_and_runs_add_up_to_all(engine: Engine, settings: Settings) -> None:
    users = {add_user(engine, f"u{number}", 4): 4 for number in range(3)}
    runs = []
    with faulty(lambda *_: COUNTED) as seen:
        nothing = learn(engine, at(settings, seen), max_tokens=50)
        assert (nothing.calls, nothing.stopped_by, sum(seen.prompts.values())) == (0, "max_tokens", 0)
        for in_flight in (1, 4, 8, 8, 8, 8, 8, 8):
            report = learn(engine, at(settings, seen, llm_in_flight=in_flight), max_tokens=900)
            assert report.prompt_tokens + report.completion_tokens <= 900
            runs.append(report)
            if not report.pending_summaries + report.pending_shifts:
                break
    assert [run.stopped_by for run in runs] == ["max_tokens"] * (len(runs) - 1) + [None]
    assert all(run.calls for run in runs)
    assert sum(run.calls for run in runs) == 3 * 7 == sum(seen.prompts.values())
    assert texts(engine) == expected(users)


def clocked(monkeypatch: pytest.MonkeyPatch, clock: Callable[[], float]) -> None:
    """Runs account for time by this clock."""
    monkeypatch.setattr(learning, "Account", lambda budget, _: Account(budget, clock))


def test_after_max_seconds_no_call_is_begun_and_the_next_run_continues(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = {add_user(engine, "a", 5): 5}
    with faulty(lambda *_: GOOD) as seen:
        begun: list[int] = []

        def one_second_a_call() -> float:
            asked = sum(seen.prompts.values())
            begun.append(asked)
            return float(asked)

        clocked(monkeypatch, one_second_a_call)
        assert learn(engine, at(settings, seen), max_seconds=0).stopped_by == "max_time"
        assert not seen.prompts
        first = learn(engine, at(settings, seen), max_seconds=3)
        assert (first.calls, first.stopped_by, sum(seen.prompts.values())) == (3, "max_time", 3)
        assert rows(engine, "SELECT count(*) FROM liber.llm_call WHERE state = 'running'") == [(0,)]
        second = learn(engine, at(settings, seen), max_seconds=100)
    assert (second.calls, second.stopped_by) == (6, None)
    assert set(seen.prompts.values()) == {1}
    assert texts(engine) == expected(users)


def test_a_retry_under_the_same_run_id_continues_its_budget(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_user(engine, "a", 9)
    with faulty(lambda *_: COUNTED) as seen:
        live = at(settings, seen)
        first = learn(engine, live, run_id="dag", max_calls=5)
        retry = learn(engine, live, run_id="dag", max_calls=5)
        assert (first.calls, retry.calls, retry.stopped_by) == (5, 0, "max_calls")
        assert learn(engine, live, run_id="dag", max_calls=7).calls == 2
        assert learn(engine, live, run_id="other", max_calls=1).calls == 1
        cost = rows(engine, "SELECT sum(prompt_tokens + completion_tokens) FROM liber.llm_call WHERE run_id = 'dag'")
        spent = int(cost[0][0])
        assert learn(engine, live, run_id="dag", max_tokens=spent + 60).stopped_by == "max_tokens"
        assert learn(engine, live, run_id="fresh", max_tokens=spent + 60).calls > 0


def test_calls_that_were_claimed_and_not_asked_do_not_count_against_a_retry(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_user(engine, "a", 9)
    with faulty(lambda *_: GOOD) as seen:
        live = at(settings, seen, llm_in_flight=4)
        clocked(monkeypatch, lambda: float(seen.answered))
        first = learn(engine, live, run_id="dag", max_calls=10, max_seconds=2)
        not_asked = rows(engine, "SELECT count(*) FROM liber.llm_call WHERE error LIKE 'not asked%'")[0][0]
        assert first.stopped_by == "max_time"
        assert not_asked  # otherwise this shows nothing
        monkeypatch.undo()
        second = learn(engine, live, run_id="dag", max_calls=10)
    assert first.calls + second.calls == 10 == sum(seen.prompts.values())


def test_what_a_killed_try_had_claimed_is_not_left_running_by_its_retry(engine: Engine, settings: Settings) -> None:
    """The budget may end the retry before it comes to a call that the killed try had claimed."""
    users = {add_user(engine, "a", 9): 9}
    with faulty(lambda *_: GOOD) as seen:
        live = at(settings, seen)
        learn(engine, live, run_id="dag", max_calls=4)
        with engine.begin() as connection:  # as SIGKILL leaves it: claimed, nobody holds its lock
            connection.execute(
                text("INSERT INTO liber.llm_call"
                     " (call_key, user_key, partition_no, kind, knowledge_version, state, run_id)"
                     " SELECT 'claimed', user_key, 9, 'shift', knowledge_version, 'running', 'dag'"
                     " FROM liber.llm_call LIMIT 1")
            )  # fmt: skip
        retry = learn(engine, live, run_id="dag", max_calls=5)
        assert retry.calls == 1
        assert rows(engine, "SELECT state::text, error FROM liber.llm_call WHERE call_key = 'claimed'") == [
            ("failed", "interrupted: the process that had claimed it ended")
        ]
        learn(engine, live)
    assert texts(engine) == expected(users)
    assert set(seen.prompts.values()) == {1}


def test_calls_set_aside_are_asked_again_when_told_to(engine: Engine, settings: Settings) -> None:
    users = {add_user(engine, "a", 3, size=1, titles=("Fargo", "Poison", "Heat")): 3}
    with faulty(lambda _, prompt: Reply(422, "{}") if "Poison" in prompt else GOOD) as seen:
        assert learn(engine, at(settings, seen)).quarantined == 1
        assert learn(engine, at(settings, seen)).calls == 0
        again = learn(engine, at(settings, seen), retry_quarantined=True)
        assert (again.calls, again.quarantined) == (1, 1)  # the server still refuses it
    with faulty(lambda *_: GOOD) as healed:
        assert learn(engine, at(settings, healed)).calls == 0
        healthy = learn(engine, at(settings, healed), retry_quarantined=True)
    assert (healthy.calls, healthy.quarantined, healthy.pending_shifts) == (3, 0, 0)  # it, and two shifts that waited
    assert texts(engine) == expected(users)
    assert rows(engine, "SELECT DISTINCT state::text FROM liber.llm_call") == [("done",)]


def test_only_the_users_named_are_asked_again(engine: Engine, settings: Settings) -> None:
    for user_id in ("a", "b"):
        add_user(engine, user_id, 1)
    refusals = iter([Reply(422, "{}")] * 2)
    with faulty(lambda number, prompt: GOOD if "User: " not in prompt else next(refusals, GOOD)) as seen:
        assert learn(engine, at(settings, seen)).quarantined == 2
        assert learn(engine, at(settings, seen), users=["a"], retry_quarantined=True).calls == 1
    assert rows(engine, "SELECT state::text, count(*) FROM liber.llm_call GROUP BY 1 ORDER BY 1") == [
        ("done", 1), ("quarantined", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("max_users", [None, 4])
def test_shards_do_together_exactly_the_whole_work(engine: Engine, settings: Settings, max_users: int | None) -> None:
    users = {add_user(engine, f"u{number}", 2, day=number): 2 for number in range(7)}
    if max_users is not None:  # the latest ones, over all shards
        users = dict(list(users.items())[-max_users:])
    with faulty(lambda *_: GOOD) as seen:
        ask = partial(learn, engine, at(settings, seen), max_users=max_users)
        reports = [ask(shard=Shard(number, 3)) for number in range(3)]
        assert texts(engine) == expected(users)
        assert ask().calls == 0
    assert sum(report.users for report in reports) == len(users)
    assert sum(report.calls for report in reports) == 3 * len(users) == sum(seen.prompts.values())
    assert set(seen.prompts.values()) == {1}
    found = rows(engine, "SELECT DISTINCT run_id, user_key % 3 FROM liber.llm_call")
    assert len(found) == len({run_id for run_id, _ in found})  # a shard's users are its own


def test_a_tokens_bound_counts_what_was_thrown_away(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 3)
    empty = json.dumps(json.loads(completion("")) | {"usage": {"prompt_tokens": 300, "completion_tokens": 1}})
    with faulty(lambda number, _: Reply(body=empty) if number == 0 else COUNTED) as seen:
        report = learn(engine, at(settings, seen), max_tokens=1000)
    assert report.prompt_tokens + report.completion_tokens > 300
    kept = "SELECT sum(prompt_tokens + completion_tokens) FROM liber.llm_call"
    assert rows(engine, kept) == [(report.prompt_tokens + report.completion_tokens,)]
    with engine.begin() as connection:  # a run that spent it all
        connection.execute(text("UPDATE liber.llm_call SET run_id = 'r'"))
    with faulty(lambda *_: COUNTED) as seen:
        assert learn(engine, at(settings, seen), run_id="r", max_tokens=400).calls == 0
