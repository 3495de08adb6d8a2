"""Item knowledge: every item asked about once, again only after it has changed, whatever server and machine do."""

import json
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from sqlalchemy import Engine, text

from liber_tasks import db
from liber_tasks.config import Settings
from liber_tasks.errors import InputError, ServiceUnavailable
from liber_tasks.interest import llm
from liber_tasks.interest.account import cost_of_runs, cost_of_users
from liber_tasks.interest.items import ItemsReport, learn_items
from liber_tasks.interest.learn import learn
from liber_tasks.status.count import backlog
from liber_tasks.status.state import Stage
from liber_tasks.types import Shard
from tests.interest.data import add_user, rows
from tests.interest.faults import GOOD, Reply, completion, faulty

CATALOGUE = ("Heat", "Alien", "Fargo", "Brazil", "Ran", "Tampopo")
STATES = "SELECT state::text, count(*) FROM liber.llm_call GROUP BY state ORDER BY state::text"
REFUSED = Reply(422, '{"error": "refused"}')


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm, "FIRST_WAIT", 0.01)


def add_items(engine: Engine, titles: tuple[str, ...] = CATALOGUE) -> None:
    """Items as ingest leaves them; nobody did anything with them."""
    with engine.begin() as connection:
        for number, title in enumerate(titles):
            attributes = json.dumps({"year": 1980 + number, "genres": ["Drama"]})
            statement = "INSERT INTO liber.item (item_id, title, attributes) VALUES (:t, :t, :a)"
            connection.execute(text(statement), {"t": title, "a": attributes})


def change(engine: Engine, item_id: str, **attributes: Any) -> None:
    """Other attributes besides those it has."""
    with engine.begin() as connection:
        statement = "UPDATE liber.item SET attributes = attributes || :a, updated_at = now() WHERE item_id = :id"
        connection.execute(text(statement), {"a": json.dumps(attributes), "id": item_id})


def at(settings: Settings, url: str | None, **changes: object) -> Settings:
    """Settings for a server at `url`."""
    return settings.model_copy(update={"llm_url": url, "llm_patience": 0.5, "llm_in_flight": 4} | changes)


def described(engine: Engine, version: str | None = None) -> dict[str, str]:
    """item_id -> text, once each time it is stored."""
    kept = (
        "SELECT i.item_id, k.text FROM liber.item_knowledge AS k INNER JOIN liber.item AS i ON k.item_key = i.item_key"
        " WHERE k.knowledge_version = coalesce(:version, k.knowledge_version)"
    )
    found = rows(engine, kept, version=version)
    assert len(found) == len({row.item_id for row in found})
    return {row.item_id: row.text for row in found}


def titled(prompt: str) -> str:
    """The title that a prompt asks about."""
    (line,) = [line for line in prompt.split("\n") if line.startswith("Title: ")]
    title: str = json.loads(line.removeprefix("Title: "))
    return title


def dry(engine: Engine, settings: Settings, **bounds: Any) -> ItemsReport:
    """A dry run on connections that cannot write, and without a server."""
    url = settings.require("database_url")
    reading = db.engine(f"{url}{'&' if '?' in url else '?'}options=-cdefault_transaction_read_only%3Don")
    try:
        return learn_items(reading, at(settings, None), dry_run=True, **bounds)
    finally:
        reading.dispose()


def test_every_item_is_described_once_and_a_second_run_asks_nothing(engine: Engine, settings: Settings) -> None:
    add_items(engine)
    with faulty(lambda *_: GOOD) as seen:
        first = learn_items(engine, at(settings, seen.url), run_id="r1")
        second = learn_items(engine, at(settings, seen.url))
    assert set(described(engine)) == set(CATALOGUE)
    assert {titled(prompt) for prompt in seen.prompts} == set(CATALOGUE)
    assert set(seen.prompts.values()) == {1}
    assert (first.items, first.texts, first.calls, first.pending) == (6, 6, 6, 0)
    assert (first.quarantined, first.failed, first.stopped_by, first.shortened) == (0, 0, None, 0)
    assert (first.prompt_tokens, first.completion_tokens) == (6 * 11, 6 * 7)
    assert (second.items, second.calls, second.knowledge_version) == (6, 0, first.knowledge_version)
    ledger = rows(engine, "SELECT state::text, attempts, run_id, user_key, kind, prompt_tokens FROM liber.llm_call")
    assert [tuple(row) for row in ledger] == [("done", 1, "r1", None, None, 11)] * 6


def test_a_text_is_kept_with_what_it_was_asked_with(engine: Engine, settings: Settings) -> None:
    add_items(engine, ("Heat",))
    with faulty(lambda *_: GOOD) as seen:
        report = learn_items(engine, at(settings, seen.url))
    ((version, summary, shift, item),) = rows(
        engine, "SELECT knowledge_version, summary_prompt, shift_prompt, item_prompt FROM liber.knowledge_version"
    )
    assert (version, summary, shift) == (report.knowledge_version, None, None)
    assert item.startswith("item/")
    ((tokens, finish, input_sha256, state),) = rows(
        engine, "SELECT completion_tokens, finish_reason, input_sha256, attributes_sha256 FROM liber.item_knowledge"
    )
    assert (tokens, finish) == (7, "stop")
    assert len(input_sha256) == len(state) == 64


def test_only_items_that_are_new_or_changed_are_asked_about(engine: Engine, settings: Settings) -> None:
    add_items(engine)
    with faulty(lambda number, _: Reply(body=completion(f"the first text, number {number}"))) as seen:
        learn_items(engine, at(settings, seen.url))
    before = described(engine)
    change(engine, "Alien", director="Ridley Scott")
    add_items(engine, ("New",))
    assert dry(engine, settings).calls == 2
    with faulty(lambda *_: Reply(body=completion("another text"))) as seen:
        report = learn_items(engine, at(settings, seen.url))
        assert learn_items(engine, at(settings, seen.url)).calls == 0
    assert sorted(titled(prompt) for prompt in seen.prompts) == ["Alien", "New"]
    assert (report.calls, report.texts) == (2, 2)
    assert any("Ridley Scott" in prompt for prompt in seen.prompts)
    assert described(engine) == before | {"Alien": "another text", "New": "another text"}


def test_attributes_in_another_order_are_the_same(engine: Engine, settings: Settings) -> None:
    add_items(engine, ("Heat",))
    with faulty(lambda *_: GOOD) as seen:
        learn_items(engine, at(settings, seen.url))
        with engine.begin() as connection:
            connection.execute(text('UPDATE liber.item SET attributes = \'{"genres": ["Drama"], "year": 1980}\''))
        assert learn_items(engine, at(settings, seen.url)).calls == 0
        with engine.begin() as connection:
            connection.execute(text("UPDATE liber.item SET title = 'Heat (1995)'"))
        assert learn_items(engine, at(settings, seen.url)).calls == 1


def test_the_most_popular_items_come_first(engine: Engine, settings: Settings) -> None:
    add_items(engine, ("Unseen",))
    add_user(engine, "a", 1, size=6, titles=("Heat", "Alien", "Heat", "Fargo", "Heat", "Alien"))
    with faulty(lambda *_: GOOD) as seen:
        live = at(settings, seen.url, llm_in_flight=1)
        assert learn_items(engine, live, max_items=0).calls == 0
        assert learn_items(engine, live, max_items=2).items == 2
        assert [titled(prompt) for prompt in seen.prompts] == ["Heat", "Alien"]
        assert learn_items(engine, live, max_items=2).calls == 0
        assert learn_items(engine, live).calls == 2
    assert [titled(prompt) for prompt in seen.prompts] == ["Heat", "Alien", "Fargo", "Unseen"]


def test_a_budget_is_kept_and_the_next_run_continues(engine: Engine, settings: Settings) -> None:
    add_items(engine)
    with faulty(lambda *_: GOOD) as seen:
        live = at(settings, seen.url)
        first = learn_items(engine, live, max_calls=2, run_id="r")
        again = learn_items(engine, live, max_calls=3, run_id="r")  # a retry of the same run
        assert (first.calls, first.stopped_by, first.pending) == (2, "max_calls", 4)
        assert (again.calls, again.pending) == (1, 3)
        assert learn_items(engine, live, max_tokens=10).stopped_by == "max_tokens"
        assert learn_items(engine, live, max_seconds=0).stopped_by == "max_time"
        assert learn_items(engine, live).calls == 3
    assert set(described(engine)) == set(CATALOGUE)
    assert set(seen.prompts.values()) == {1}


def test_shards_do_together_exactly_the_whole_work(engine: Engine, settings: Settings) -> None:
    add_items(engine)
    with faulty(lambda *_: GOOD) as seen:
        reports = [learn_items(engine, at(settings, seen.url), shard=Shard(number, 3)) for number in range(3)]
    assert [report.calls for report in reports] == [2, 2, 2]
    assert set(described(engine)) == set(CATALOGUE)


def test_a_dry_run_counts_exactly_asks_nobody_and_writes_nothing(engine: Engine, settings: Settings) -> None:
    add_items(engine)

    def measured(asked: dict[str, Any]) -> str:
        said = json.loads(completion("a film of its own"))
        said["usage"] = {"prompt_tokens": len(asked["messages"][0]["content"]), "completion_tokens": 30}
        return json.dumps(said)

    plan = dry(engine, settings)
    assert (plan.items, plan.calls, plan.pending, plan.hours) == (6, 6, 6, None)
    assert plan.completion_tokens == 6 * settings.item_max_tokens
    assert dry(engine, settings, max_calls=2).calls == 2
    assert dry(engine, settings, max_tokens=0).calls == 0
    assert rows(engine, "SELECT FROM liber.llm_call UNION ALL SELECT FROM liber.knowledge_version") == []
    with faulty(lambda *_: Reply(body=measured)) as seen:
        assert learn_items(engine, at(settings, seen.url), dry_run=True).calls == 6
        assert (seen.others, dict(seen.prompts)) == ([], {})
        learn_items(engine, at(settings, seen.url, llm_in_flight=1), max_calls=3)
        rest = dry(engine, settings)
        report = learn_items(engine, at(settings, seen.url))
    assert (rest.calls, rest.completion_tokens) == (report.calls, report.completion_tokens) == (3, 90)
    assert rest.prompt_tokens == report.prompt_tokens  # a token a character, as the first answers had it
    assert rest.hours is not None
    assert rest.hours > 0


def test_answers_about_items_do_not_change_what_partitions_are_reckoned_with(
    engine: Engine, settings: Settings
) -> None:
    add_user(engine, "a", 2)
    before = learn(engine, settings, dry_run=True)
    with faulty(lambda *_: GOOD) as seen:
        learn_items(engine, at(settings, seen.url))
    after = learn(engine, settings, dry_run=True)
    same = ("calls", "prompt_tokens", "completion_tokens", "hours")
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]


def test_two_learners_at_once_make_each_call_once(engine: Engine, settings: Settings) -> None:
    add_items(engine, tuple(f"Film {number}" for number in range(40)))
    with faulty(lambda *_: Reply(delay=0.02)) as seen:
        learners = [threading.Thread(target=learn_items, args=(engine, at(settings, seen.url))) for _ in range(2)]
        for learner in learners:
            learner.start()
        for learner in learners:
            learner.join()
        learn_items(engine, at(settings, seen.url))
    assert len(described(engine)) == 40
    assert len(seen.prompts) == 40
    assert set(seen.prompts.values()) == {1}
    assert rows(engine, STATES) == [("done", 40)]


@pytest.mark.timeout(180)
def test_sigkill_loses_nothing_and_repeats_at_most_the_calls_in_flight(
    engine: Engine, settings: Settings, database_url: str
) -> None:
    add_items(engine, tuple(f"Film {number}" for number in range(60)))
    in_flight, kills = 4, 0
    with faulty(lambda *_: Reply(delay=0.05)) as seen:
        for started in range(1, 4):
            enough = len(seen.times) + 9
            child = start(database_url, seen.url)
            while len(seen.times) < enough and child.poll() is None:
                time.sleep(0.001)
            child.kill()
            kills += child.wait() == -signal.SIGKILL
            assert len(seen.times) - len(described(engine)) <= started * in_flight
        last = learn_items(engine, at(settings, seen.url))
    assert kills == 3
    assert last.pending == 0
    assert len(described(engine)) == 60
    assert len(seen.times) - 60 <= kills * in_flight
    assert rows(engine, STATES) == [("done", 60)]


def start(database_url: str, llm_url: str) -> subprocess.Popen[bytes]:
    """A process of its own that describes items, four calls in flight."""
    program = (
        "import sys; from liber_tasks import db; from liber_tasks.config import Settings;"
        "from liber_tasks.interest.items import learn_items;"
        "s = Settings(_env_file=None, database_url=sys.argv[1], llm_url=sys.argv[2], llm_in_flight=4);"
        "learn_items(db.connect(s), s)"
    )
    return subprocess.Popen([sys.executable, "-c", program, database_url, llm_url], stderr=subprocess.DEVNULL)


def test_poison_is_set_aside_until_it_is_released_or_its_item_changes(engine: Engine, settings: Settings) -> None:
    add_items(engine, (*CATALOGUE, "Poison"))
    with faulty(lambda _, prompt: REFUSED if "Poison" in prompt else GOOD) as seen:
        live = at(settings, seen.url)
        report = learn_items(engine, live)
        assert (report.texts, report.quarantined, report.pending) == (6, 1, 0)
        assert learn_items(engine, live).calls == dry(engine, settings).calls == 0
        released = learn_items(engine, live, retry_quarantined=True)
        assert (released.calls, released.quarantined) == (1, 1)
        change(engine, "Poison", year=1999)
        assert dry(engine, settings).calls == 1
        assert learn_items(engine, live).quarantined == 1
    with faulty(lambda *_: GOOD) as seen:
        assert learn_items(engine, at(settings, seen.url), retry_quarantined=True).calls == 1
    assert set(described(engine)) == {*CATALOGUE, "Poison"}


def test_failures_are_asked_again_by_the_next_run(engine: Engine, settings: Settings) -> None:
    add_items(engine)
    with faulty(lambda _, prompt: Reply(500, "boom") if "Alien" in prompt else GOOD) as seen:
        report = learn_items(engine, at(settings, seen.url))
    assert (report.texts, report.failed, report.pending) == (5, 1, 1)
    assert rows(engine, STATES) == [("done", 5), ("failed", 1)]
    with faulty(lambda *_: GOOD) as seen:
        assert learn_items(engine, at(settings, seen.url)).calls == 1
    assert rows(engine, STATES) == [("done", 6)]
    change(engine, "Heat", year=1)
    with faulty(lambda *_: Reply(503, "{}")) as seen, pytest.raises(ServiceUnavailable, match="nothing is lost"):
        learn_items(engine, at(settings, seen.url, llm_patience=0.1))


def test_an_item_that_changes_while_it_is_asked_about_is_asked_about_again(engine: Engine, settings: Settings) -> None:
    add_items(engine, ("Heat",))

    def changing(number: int, _: str) -> Reply:
        if not number:
            change(engine, "Heat", director="Michael Mann")
        return GOOD

    with faulty(changing) as seen:
        assert learn_items(engine, at(settings, seen.url)).pending == 1
        assert learn_items(engine, at(settings, seen.url)).pending == 0
    assert ["Michael Mann" in prompt for prompt in seen.prompts] == [False, True]
    assert set(described(engine)) == {"Heat"}


def test_a_version_can_be_pinned_and_continued(engine: Engine, settings: Settings) -> None:
    add_items(engine)
    with faulty(lambda *_: GOOD) as seen:
        first = learn_items(engine, at(settings, seen.url, llm_model="one"), max_calls=2)
        other = learn_items(engine, at(settings, seen.url, item_max_tokens=60), max_calls=1)
        pinned = {"item_knowledge_version": first.knowledge_version, "domain": "books", "item_max_tokens": 9}
        rest = learn_items(engine, at(settings, seen.url, **pinned))
    assert (rest.knowledge_version, rest.calls) == (first.knowledge_version, 4)
    assert other.knowledge_version != first.knowledge_version
    assert [body["model"] for body in seen.bodies] == ["one"] * 2 + ["local"] + ["one"] * 4
    assert len(described(engine, first.knowledge_version)) == 6
    assert len(described(engine, other.knowledge_version)) == 1


def test_what_is_pinned_must_be_a_version_of_items(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 1)
    with faulty(lambda *_: GOOD) as seen:
        live = at(settings, seen.url)
        texts, items = learn(engine, live).knowledge_version, learn_items(engine, live).knowledge_version
        for version, said in (("none", "no text is of it"), (texts, "about something else")):
            with pytest.raises(InputError, match=rf"LIBER_ITEM_KNOWLEDGE_VERSION is '{version}'.*{said}"):
                learn_items(engine, live.model_copy(update={"item_knowledge_version": version}))
        with pytest.raises(InputError, match=r"LIBER_KNOWLEDGE_VERSION is .*about something else"):
            learn(engine, live.model_copy(update={"knowledge_version": items}))


def stages(engine: Engine) -> dict[str, Stage]:
    with engine.connect() as connection:
        return {stage.stage: stage for stage in backlog(connection)}


def test_status_and_cost_count_calls_about_items_and_partitions_apart(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 2, titles=("Heat", "Poison", "Alien"))
    with faulty(lambda _, prompt: REFUSED if "Poison" in prompt and "Title: " in prompt else GOOD) as seen:
        learn(engine, at(settings, seen.url), run_id="texts")
        before = stages(engine)
        assert before.pop("item knowledge") == Stage("item knowledge", "items", 0, 3, 0)
        learn_items(engine, at(settings, seen.url), run_id="items#0/1")
    add_items(engine, ("New",))
    after = stages(engine)
    assert after.pop("item knowledge") == Stage("item knowledge", "items", 2, 1, 1)
    assert after == before
    runs = {run.name: (run.calls, run.done, run.quarantined) for run in cost_of_runs(engine, 9)}
    assert runs == {"texts": (3, 3, 0), "items": (3, 2, 1)}
    assert [(user.name, user.calls) for user in cost_of_users(engine, 9)] == [("a", 3)]


def test_progress_ends_at_the_total(engine: Engine, settings: Settings) -> None:
    add_items(engine)
    told: list[tuple[int, int | None]] = []
    with faulty(lambda *_: GOOD) as seen:
        learn_items(engine, at(settings, seen.url), progress=lambda done, total, _: told.append((done, total)))
    assert (told[0], told[-1]) == ((0, 6), (6, 6))


def test_the_real_model_describes_items(engine: Engine, settings: Settings, llm_url: str) -> None:
    add_items(engine, CATALOGUE[:3])
    live = settings.model_copy(update={"llm_url": llm_url, "item_max_tokens": 24, "llm_guided": False})
    report = learn_items(engine, live)
    assert (report.calls, report.texts + report.quarantined, report.pending) == (3, 3, 0)
    assert report.texts >= 2  # a model so small may go round in a loop
    assert all(len(said.split()) >= 3 for said in described(engine).values())
    assert report.prompt_tokens > 3 * 60
    again = learn_items(engine, live)
    assert again.calls == 0
