"""The learning DAGs through a real Airflow: no question twice, killed tasks go on, budgets and the pool hold."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import psutil
import pytest

from liber_tasks.errors import LiberError
from liber_tasks.interest.traces import forget
from liber_tasks.learning import with_version
from liber_tasks.local.stack import LLM_POOL
from liber_tasks.status.stored import stored
from liber_tasks.training.load import load
from tests.conftest import free_port
from tests.e2e.learning import IN_FLIGHT, IN_FLIGHT_OF_A_TASK, SHARDS, World, world
from tests.interest.data import expected, rows
from tests.interest.faults import GOOD, Reply

pytestmark = pytest.mark.timeout(900)
SECONDS = 120  # nothing the tests wait for takes as long


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("stack")) as made:
        yield made


@pytest.fixture(scope="module")
def version(there: World) -> str:
    """The knowledge version in use, with texts and vectors."""
    in_use = str(with_version(there.settings).knowledge_version)
    if not there.vectors(in_use):
        there.add_users(4, 3)
        assert there.run("learn_interests").state == "success"
    return in_use


@pytest.fixture(scope="module")
def refused(there: World, version: str) -> str:
    """Id of a backfill whose LLM server is down; it goes on failing beside the tests that follow."""
    conf = {"llm_url": f"http://127.0.0.1:{free_port()}", "llm_model": "absent"}
    return there.api.trigger("backfill_knowledge", conf)


def test_every_question_is_asked_once_and_every_text_stored_once(there: World) -> None:
    users = dict.fromkeys(there.add_users(4, 3), 3)
    with there.llm.watched() as asked:
        run = there.run("learn_interests")
    assert run.state == "success", there.api.failure(run)
    in_use = str(with_version(there.settings).knowledge_version)
    assert len(asked) == 4 * (3 + 2)
    assert set(asked.values()) == {1}
    assert [tuple(row)[:3] for row in there.texts(in_use)] == expected(users)
    assert there.vectors(in_use) == [(key, number) for key in sorted(users) for number in (1, 2, 3)]
    assert [there.api.xcom(run, "learn", map_index=shard)["calls"] for shard in range(SHARDS)] == [10, 10]
    cost = there.api.xcom(run, "plan", "cost")
    assert (cost["knowledge_version"], cost["users"], cost["calls"]) == (in_use, 4, 20)
    assert cost["prompt_tokens"] > 0
    assert cost["completion_tokens"] > 0
    assert cost["hours"] is None  # no call was made yet
    assert f"Version {in_use}: 20 calls for 4 users" in there.api.said(run, "plan")
    carried = [line for line in there.api.lines(run, "learn", 1) if line.get("stage") == "learn"]
    assert {(line["run"], line["shard"], line["task"]) for line in carried} == {
        (f"learn_interests/{run.run_id}#1/2", "1/2", "learn")
    }
    assert stored(there.engine).waiting == timedelta(0)  # counted by the run's last task


def test_a_second_run_asks_nothing(there: World, version: str) -> None:
    texts, vectors = there.texts(version), there.vectors(version)
    with there.llm.watched() as asked:
        run = there.run("learn_interests")
    assert run.state == "success", there.api.failure(run)
    assert run.tasks["announce_vectors"] == "skipped"
    assert not asked
    assert (there.texts(version), there.vectors(version)) == (texts, vectors)


def test_shards_share_a_budget_of_calls_to_the_last_one(there: World, version: str) -> None:
    there.add_users(4, 3)
    texts = len(there.texts(version))
    with there.llm.watched() as asked:
        run = there.run("learn_interests", max_calls=5, max_time="10m")
    assert run.state == "success", there.api.failure(run)
    done = [there.api.xcom(run, "learn", map_index=shard) for shard in range(SHARDS)]
    assert [(shard["calls"], shard["stopped_by"]) for shard in done] == [(3, "max_calls"), (2, "max_calls")]
    assert sum(asked.values()) == len(asked) == 5
    assert len(there.texts(version)) == texts + 5
    cost = there.api.xcom(run, "plan", "cost")
    assert cost["calls"] == 5
    assert cost["hours"] > 0
    assert "hours at the last rate" in there.api.said(run, "plan")


def test_a_killed_task_is_retried_and_goes_on_with_what_is_left_of_its_budget(
    there: World, version: str, request: pytest.FixtureRequest
) -> None:
    """The task's process dies by SIGKILL while all calls that may be in flight are."""
    users = dict.fromkeys(there.add_users(4, 4), 4)
    first, go_on = sum(there.llm.seen.prompts.values()), threading.Event()
    with there.llm.watched(lambda number, _: GOOD if number < first + 6 else Reply(held=go_on)) as asked:
        run_id = there.api.trigger("learn_interests", {"max_calls": 16})
        until(lambda: there.llm.seen.in_flight == IN_FLIGHT)
        victim = min(there.asking(), key=lambda process: process.pid)
        victim.kill()
        psutil.wait_procs([victim], timeout=SECONDS)
        go_on.set()
        request.getfixturevalue("refused")  # uses the time until the retry
        run = there.api.finished("learn_interests", run_id)
    assert run.state == "success", there.api.failure(run)
    assert sorted(task["try_number"] for task in there.api.instances(run, "learn")) == [1, 2]
    assert 1 <= sum(asked.values()) - 16 <= IN_FLIGHT_OF_A_TASK  # what was in flight when the process died
    assert there.ledger(run)["done"] == 16
    running = "SELECT FROM liber.llm_call WHERE state = 'running' AND knowledge_version = :v"
    assert rows(there.engine, running, v=version) == []  # of another version `refused` has some, now and then
    with there.llm.watched() as asked_later:
        run = there.run("learn_interests")
    assert run.state == "success", there.api.failure(run)
    assert set(asked_later.values()) == {1}
    assert len(set(asked) & set(asked_later)) == len(asked) - 16  # in flight then, and the budget ended before them
    assert [tuple(row)[:3] for row in there.texts(version) if row.user_key in users] == expected(users)
    assert {key for key, _ in there.vectors(version)} >= set(users)


def test_items_are_described_once_and_encoded_and_again_only_when_they_change(there: World, version: str) -> None:
    items = {str(row.title): row.item_key for row in rows(there.engine, "SELECT title, item_key FROM liber.item")}
    with there.llm.watched() as asked:
        run = there.run("learn_items", max_calls=len(items) - 1)
        rest, none = there.run("learn_items"), there.run("learn_items")
    assert (run.state, rest.state, none.state) == ("success",) * 3, there.api.failure(run)
    assert len(asked) == len(items)
    assert set(asked.values()) == {1}
    described = rows(there.engine, "SELECT item_key FROM liber.item_knowledge ORDER BY item_key")
    assert [row.item_key for row in described] == sorted(items.values())
    vectors = [each.tasks["announce_vectors"] for each in (run, rest, none)]
    assert vectors == ["success", "success", "skipped"]  # with the last item's text its vector changes
    of_kind = "SELECT FROM liber.item_vector JOIN liber.item_encoder USING (encoder_version) WHERE kind = 'dense'"
    assert len(rows(there.engine, of_kind)) == len(items)
    shards = [there.api.xcom(run, "learn", map_index=shard) for shard in range(SHARDS)]
    assert sum(shard["calls"] for shard in shards) == len(items) - 1
    assert there.api.xcom(run, "plan", "cost")["items"] == len(items)
    with there.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE liber.item SET title = 'Alien (1979)' WHERE title = 'Alien'")
    with there.llm.watched() as asked:
        changed = there.run("learn_items", max_items=len(items))
    assert changed.state == "success", there.api.failure(changed)
    assert [prompt.count('Title: "Alien (1979)"') for prompt in asked.elements()] == [1]


def test_never_more_calls_in_flight_than_the_pool_has_slots(there: World, version: str) -> None:
    there.add_users(4, 2)
    there.api.resize_pool(LLM_POOL, IN_FLIGHT_OF_A_TASK)
    try:
        with there.llm.watched(lambda *_: Reply(delay=0.1)):
            run = there.run("learn_interests")
            assert there.llm.seen.most_in_flight == IN_FLIGHT_OF_A_TASK
    finally:
        there.api.resize_pool(LLM_POOL, IN_FLIGHT)
    assert run.state == "success", there.api.failure(run)
    one, other = sorted(there.api.instances(run, "learn"), key=lambda task: str(task["start_date"]))
    assert other["start_date"] >= one["end_date"]


def test_a_pool_too_small_for_a_task_is_widened_when_the_stack_comes_up(there: World) -> None:
    """After `LIBER_LLM_IN_FLIGHT` has grown; Airflow would leave the task waiting for ever."""
    there.api.resize_pool(LLM_POOL, 1)
    there.api.ensure_pool(LLM_POOL, IN_FLIGHT, "LLM calls in flight")
    assert there.api.slots(LLM_POOL) == IN_FLIGHT
    there.api.ensure_pool(LLM_POOL, 1, "LLM calls in flight")
    assert there.api.slots(LLM_POOL) == IN_FLIGHT  # one that is larger is somebody's choice


def test_an_unknown_key_fails_the_first_task_and_says_so(there: World) -> None:
    with there.llm.watched() as asked:
        run = there.run("learn_interests", max_cals=5)
    assert (run.state, run.tasks["plan"]) == ("failed", "failed")
    assert "Unknown parameter max_cals" in there.api.failure(run)
    assert not asked


@pytest.mark.parametrize(
    ("key", "value"), [("max_time", "soon"), ("max_calls", -1), ("max_tokens", "many"), ("learn_variant", "half")]
)
def test_airflow_refuses_a_value_that_makes_no_sense(there: World, key: str, value: object) -> None:
    with pytest.raises(LiberError, match=key):
        there.api.trigger("backfill_knowledge", {key: value})


def test_another_model_is_filled_in_beside_the_one_in_use(there: World, version: str) -> None:
    texts, vectors = there.texts(version), there.vectors(version)
    with there.llm.watched() as asked:
        run = there.run("backfill_knowledge", llm_model="other", max_time="10m")
    assert run.state == "success", there.api.failure(run)
    switched = with_version(there.settings.model_copy(update={"llm_model": "other"}))
    other = str(switched.knowledge_version)
    assert other == there.api.xcom(run, "plan", "cost")["knowledge_version"] != version
    assert [tuple(row)[:3] for row in there.texts(other)] == [tuple(row)[:3] for row in texts]
    assert sum(asked.values()) == len(texts)
    assert (there.texts(version), there.vectors(version)) == (texts, vectors)
    assert there.vectors(other) == vectors
    trained_on = load(there.engine, switched)
    assert trained_on.version is not None
    assert (trained_on.version.knowledge_version, trained_on.version.model) == (other, "other")
    assert len(trained_on.vectors) == len(vectors)


def test_without_shifts_the_summaries_are_taken_over_and_nothing_is_asked(there: World, version: str) -> None:
    texts, vectors = there.texts(version), there.vectors(version)
    with there.llm.watched() as asked:
        run = there.run("backfill_knowledge", learn_variant="no_shift")
    assert run.state == "success", there.api.failure(run)
    assert not asked
    other = str(with_version(there.settings.model_copy(update={"learn_variant": "no_shift"})).knowledge_version)
    assert [tuple(row)[:4] for row in there.texts(other)] == [tuple(row)[:4] for row in texts if row.kind == "summary"]
    assert there.vectors(other) == vectors
    assert (there.texts(version), there.vectors(version)) == (texts, vectors)


def test_after_a_backfill_learning_goes_on_with_the_version_in_use(there: World, version: str) -> None:
    others = len(rows(there.engine, "SELECT 1 FROM liber.interest WHERE knowledge_version <> :v", v=version))
    users = dict.fromkeys(there.add_users(2, 2), 2)
    with there.llm.watched() as asked:
        run = there.run("learn_interests")
    assert run.state == "success", there.api.failure(run)
    assert sum(asked.values()) == len(expected(users))
    assert {key for key, _ in there.vectors(version)} >= set(users)
    assert len(rows(there.engine, "SELECT 1 FROM liber.interest WHERE knowledge_version <> :v", v=version)) == others


def test_a_server_that_is_down_fails_the_run_in_one_sentence(there: World, refused: str) -> None:
    run = there.api.finished("backfill_knowledge", refused)
    assert (run.state, run.tasks["learn"]) == ("failed", "failed")
    assert {task["try_number"] for task in there.api.instances(run, "learn")} == {3}
    assert "cannot be reached: start it or set LIBER_LLM_URL; nothing is lost" in there.api.failure(run)
    assert rows(there.engine, "SELECT 1 FROM liber.llm_call WHERE state = 'running'") == []


def test_erasing_a_user_deletes_the_traces_of_their_calls(there: World, version: str) -> None:
    ((user,),) = rows(
        there.engine,
        "SELECT u.user_id FROM liber.user_profile AS u INNER JOIN liber.interest AS i ON u.user_key = i.user_key"
        " GROUP BY u.user_id, u.user_key ORDER BY u.user_key LIMIT 1",
    )
    run = there.run("erase_user", users=[user])
    assert run.state == "success", there.api.failure(run)
    assert there.api.xcom(run, "erase")["traces"] >= 3 + 2
    assert forget(there.settings, user) == 0


def until(holds: Callable[[], bool]) -> None:
    """Wait for another process."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
