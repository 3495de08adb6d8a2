"""Whatever the server or the machine does: nothing lost, nothing stored twice, poison kept apart."""

import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.errors import LiberError, ServiceUnavailable
from liber_tasks.interest import llm, loop
from liber_tasks.interest.learn import learn
from liber_tasks.interest.llm import CallPoison
from tests.conftest import free_port
from tests.interest.data import add_user, expected, rows, texts
from tests.interest.faults import GOOD, Reply, completion, faulty
from tests.interest.test_llm_faults import FAULTS

TRANSIENT = (Reply(500, "boom"), Reply(429, "{}"), Reply(503, "{}"), Reply(424, "{}"), Reply(200, "garbage"),
             Reply(cut=20), Reply(429, "{}", {"Retry-After": "0"}))  # fmt: skip
STATES = "SELECT state::text, count(*) FROM liber.llm_call GROUP BY state ORDER BY state::text"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm, "FIRST_WAIT", 0.01)


def at(settings: Settings, url: str, **changes: object) -> Settings:
    """Settings for a server at `url`."""
    return settings.model_copy(update={"llm_url": url, "llm_patience": 0.5, "llm_in_flight": 4} | changes)


def test_transient_faults_lose_and_repeat_nothing(engine: Engine, settings: Settings) -> None:
    users = {add_user(engine, f"u{n}", 4): 4 for n in range(4)}
    dice = random.Random(7)
    with faulty(lambda *_: dice.choice(TRANSIENT) if dice.random() < 0.3 else GOOD) as seen:
        for _ in range(5):
            report = learn(engine, at(settings, seen.url, llm_patience=20.0))
            if report.calls == 0:
                break
    assert report.pending_summaries + report.pending_shifts == 0
    assert texts(engine) == expected(users)


@pytest.mark.parametrize("name", FAULTS)
def test_whatever_fault_passes_once_by_every_call_nothing_is_lost_or_stored_twice(
    engine: Engine, settings: Settings, name: str
) -> None:
    users = {add_user(engine, f"u{n}", 3): 3 for n in range(2)}
    fault, met = FAULTS[name], set[str]()

    def plan(_: int, prompt: str) -> Reply:
        if prompt in met:
            return GOOD if not fault.guided else Reply(body=completion('{"text": "likes dramas"}'))
        met.add(prompt)
        return fault.reply

    changes: dict[str, object] = {"llm_timeout": 0.4 if fault.reply.delay else 20.0}
    if fault.guided:
        changes["llm_dialect"] = "llamacpp"
    aside = 0
    with faulty(plan) as seen:
        for _ in range(20):  # a fault that ends a run meets the calls in flight, then the next run's
            with suppress(LiberError):
                report = learn(engine, at(settings, seen.url, **changes), retry_quarantined=True)
                aside += report.quarantined
                if report.pending_summaries + report.pending_shifts + report.quarantined == 0:
                    break
    assert texts(engine) == expected(users)
    assert rows(engine, STATES) == [("done", 10)]
    assert bool(aside) <= (fault.error is CallPoison)  # nothing else is ever set aside


def test_poison_is_set_aside_and_the_rest_is_learnt(engine: Engine, settings: Settings) -> None:
    good = add_user(engine, "good", 2)
    bad = add_user(engine, "bad", 4, size=1, titles=("Fargo", "Poison", "Heat", "Alien"))
    refusal = Reply(422, '{"error": "refused"}')
    with faulty(lambda _, prompt: refusal if "Poison" in prompt else GOOD) as seen:
        report = learn(engine, at(settings, seen.url))
        assert (report.quarantined, report.pending_summaries, report.pending_shifts) == (1, 0, 0)
        assert texts(engine) == sorted(
            [(bad, 1, "summary"), (bad, 3, "summary"), (bad, 4, "summary"), (bad, 4, "shift"), *expected({good: 2})]
        )
        again = learn(engine, at(settings, seen.url))
    assert again.calls == 0
    assert sum(count for prompt, count in seen.prompts.items() if "Poison" in prompt) == 1
    ((state, error),) = rows(engine, "SELECT state::text, error FROM liber.llm_call WHERE error IS NOT NULL")
    assert state == "quarantined"
    assert error == "HTTP 422: refused"


def test_a_server_that_is_down_leaves_everything_for_the_next_run(engine: Engine, settings: Settings) -> None:
    users = {add_user(engine, "a", 3): 3}
    port = free_port()
    with pytest.raises(ServiceUnavailable, match="cannot be reached"):
        learn(engine, at(settings, f"http://127.0.0.1:{port}", llm_patience=0.2))
    assert texts(engine) == []
    assert rows(engine, STATES) == [("failed", 3)]
    with faulty(lambda *_: GOOD, port) as seen:
        learn(engine, at(settings, seen.url))
    assert texts(engine) == expected(users)
    assert rows(engine, STATES) == [("done", 5)]


def test_a_server_that_dies_midway_keeps_what_it_answered(engine: Engine, settings: Settings) -> None:
    users = {add_user(engine, f"u{n}", 3): 3 for n in range(3)}
    with faulty(lambda number, _: GOOD if number < 6 else Reply(503, "{}")) as seen:
        with pytest.raises(ServiceUnavailable, match="nothing is lost"):
            learn(engine, at(settings, seen.url, llm_patience=0.2))
        assert len(texts(engine)) == 6
        answered = set(list(seen.prompts)[:6])
    with faulty(lambda *_: GOOD) as seen:
        report = learn(engine, at(settings, seen.url))
    assert report.calls == 15 - 6
    assert not answered & set(seen.prompts)
    assert texts(engine) == expected(users)


def test_a_server_that_fails_every_call_is_not_asked_on_and_on(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 60)
    with faulty(lambda *_: Reply(500, "boom")) as seen, pytest.raises(ServiceUnavailable, match=r"HTTP 500.*re-run"):
        learn(engine, at(settings, seen.url))
    most = (loop.FAILURES_IN_A_ROW + 4) * llm.TRIES
    assert sum(seen.prompts.values()) <= most
    with faulty(lambda *_: Reply(400, "{}")) as seen, pytest.raises(LiberError, match="refuses every call"):
        learn(engine, at(settings, seen.url))
    assert rows(engine, "SELECT count(*) FROM liber.llm_call WHERE state = 'quarantined'") == [(0,)]


def test_a_lost_database_connection_is_named_and_the_next_run_continues(engine: Engine, settings: Settings) -> None:
    users = {add_user(engine, "a", 4): 4}

    def plan(number: int, _: str) -> Reply:
        if number == 4:
            rows(engine, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                         " AND pid <> pg_backend_pid()")  # fmt: skip
        return GOOD

    with faulty(plan) as seen:
        with pytest.raises(ServiceUnavailable, match="PostgreSQL"):
            learn(engine, at(settings, seen.url))
        learn(engine, at(settings, seen.url))
    assert texts(engine) == expected(users)
    assert rows(engine, STATES) == [("done", 7)]


def test_two_learners_share_the_work(engine: Engine, settings: Settings) -> None:
    users = {add_user(engine, f"u{n}", 3): 3 for n in range(4)}
    with faulty(lambda *_: Reply(delay=0.02)) as seen:
        learners = [threading.Thread(target=learn, args=(engine, at(settings, seen.url))) for _ in range(2)]
        for learner in learners:
            learner.start()
        for learner in learners:
            learner.join()
        learn(engine, at(settings, seen.url))
    assert texts(engine) == expected(users)
    assert set(seen.prompts.values()) == {1}


def test_calls_that_another_learner_makes_do_not_use_up_a_budget(engine: Engine, settings: Settings) -> None:
    users = {add_user(engine, "busy", 2, day=1): 2, add_user(engine, "free", 2): 2}
    release, asked = threading.Event(), threading.Event()

    def slow(*_: object) -> Reply:
        asked.set()
        return Reply(held=release)

    with faulty(slow) as one, faulty(lambda *_: GOOD) as other:
        first = threading.Thread(target=learn, args=(engine, at(settings, one.url)), kwargs={"users": ["busy"]})
        first.start()
        asked.wait(30)
        second = learn(engine, at(settings, other.url, llm_in_flight=1), max_calls=2)
        release.set()
        first.join()
        learn(engine, at(settings, other.url))
    assert (second.calls, second.summaries) == (2, 2)
    assert texts(engine) == expected(users)


@pytest.mark.parametrize("pause", [0.0, 0.004, 0.02])  # between calls, while texts are stored, while calls run
def test_an_interrupt_gives_its_calls_back(engine: Engine, settings: Settings, database_url: str, pause: float) -> None:
    users = {add_user(engine, "a", 6): 6}
    with faulty(lambda *_: Reply(delay=0.2)) as seen:
        child = start(database_url, seen.url)
        while seen.answered < 4:
            time.sleep(0.001)
        time.sleep(pause)
        child.send_signal(signal.SIGINT)
        child.wait(20)
        assert rows(engine, "SELECT count(*) FROM liber.llm_call WHERE state = 'running'") == [(0,)]
        learn(engine, at(settings, seen.url))
    assert texts(engine) == expected(users)


@pytest.mark.timeout(180)
def test_sigkill_loses_nothing_and_repeats_at_most_the_calls_in_flight(
    engine: Engine, settings: Settings, database_url: str
) -> None:
    users = {add_user(engine, f"u{n}", 5): 5 for n in range(12)}
    dice, in_flight, kills = random.Random(3), 4, 0
    with faulty(lambda *_: Reply(delay=0.05)) as seen:
        for started in range(1, 7):
            enough = len(seen.times) + dice.randint(1, 12)
            child = start(database_url, seen.url)
            while len(seen.times) < enough and child.poll() is None:
                time.sleep(0.001)
            time.sleep(dice.uniform(0, 0.05))
            child.kill()
            kills += child.wait() == -signal.SIGKILL
            stored = texts(engine)
            assert len(stored) == len(set(stored))
            assert len(seen.times) - len(stored) <= started * in_flight  # answers that are not there
        last = learn(engine, at(settings, seen.url))
    assert kills >= 3
    assert texts(engine) == expected(users)
    assert last.pending_summaries + last.pending_shifts == 0
    assert len(seen.times) - len(expected(users)) <= kills * in_flight  # and nothing else was asked again
    assert rows(engine, STATES) == [("done", len(expected(users)))]


def start(database_url: str, llm_url: str) -> subprocess.Popen[bytes]:
    """A learning process of its own, four calls in flight."""
    program = (
        "import sys; from liber_tasks import db; from liber_tasks.config import Settings;"
        "from liber_tasks.interest.learn import learn;"
        "s = Settings(_env_file=None, database_url=sys.argv[1], llm_url=sys.argv[2], llm_in_flight=4);"
        "learn(db.connect(s), s)"
    )
    return subprocess.Popen([sys.executable, "-c", program, database_url, llm_url], stderr=subprocess.DEVNULL)
