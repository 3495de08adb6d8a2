"""What is counted: the backlog and its age, throughput, errors, and that nobody's id or text is kept with it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as unhurried
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from liber_tasks import db
from liber_tasks.config import Settings
from liber_tasks.encoder.store import encode
from liber_tasks.interest.learn import learn
from liber_tasks.interest.server.answers import NoAnswer, answer_text
from liber_tasks.status import stored
from liber_tasks.status.state import LlmUse, Problem, Stage, State, cost, from_dict
from liber_tasks.status.stored import is_due, keep_fresh, refresh
from tests.interest.asking import ask
from tests.interest.data import add_user, rows
from tests.interest.faults import GOOD, Reply, completion, faulty

MOMENTS = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SPELT = "INSERT INTO liber.rejected_row VALUES (1, 1, 'kind is unknown', 'raw of u1')"
A_FILE = """
INSERT INTO liber.ingest_file (sha256, kind, source, rows_read, accepted, duplicates, rejected)
VALUES ('s', 'behaviors', 'f', 10, 9, 0, 1)"""


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def seal_days_ago(engine: Engine, days: int, where: str = "TRUE") -> None:
    run(engine, f"UPDATE liber.behavior_partition SET created_at = now() - interval '{days} days' WHERE {where}")  # noqa: S608


def stages(state: State) -> dict[str, Stage]:
    return {one.stage: one for one in state.stages}


def days(moment: datetime | None) -> float:
    assert moment is not None
    return round((datetime.now(UTC) - moment).total_seconds() / 86_400, 1)


@pytest.fixture
def all_users(settings: Settings) -> Settings:
    """Learning is not bounded."""
    return settings.model_copy(update={"learn_max_users": None, "encoder_dimension": 4})


def test_a_partition_waits_from_its_sealing_to_its_vector(engine: Engine, all_users: Settings) -> None:
    add_user(engine, "a", 3)
    seal_days_ago(engine, 2)
    before = refresh(engine, all_users)
    assert days(stages(before)["summary"].oldest_pending_at) == 2
    assert stages(before)["encode"].oldest_pending_at is None
    assert round(before.waiting / timedelta(days=1), 1) == 2

    with faulty(lambda *_: GOOD) as llm:
        learn(engine, all_users.model_copy(update={"llm_url": llm.url}))
    learnt = refresh(engine, all_users)
    assert (stages(learnt)["summary"].pending, stages(learnt)["summary"].oldest_pending_at) == (0, None)
    assert days(stages(learnt)["encode"].oldest_pending_at) == 2

    encode(engine, all_users)
    assert refresh(engine, all_users).waiting == timedelta(0)


def test_a_partition_without_its_shift_waits_for_that(engine: Engine, all_users: Settings) -> None:
    add_user(engine, "a", 2)
    seal_days_ago(engine, 3, "partition_no = 2")
    with faulty(lambda *_: GOOD) as llm:
        learn(engine, all_users.model_copy(update={"llm_url": llm.url}), max_calls=2)
    found = stages(refresh(engine, all_users))
    assert (found["summary"].pending, found["shift"].pending) == (0, 1)
    assert days(found["shift"].oldest_pending_at) == 3


def test_users_whom_a_bound_leaves_out_do_not_wait(engine: Engine, settings: Settings) -> None:
    bounded = settings.model_copy(update={"learn_max_users": 1})
    add_user(engine, "early", 1, day=0)
    add_user(engine, "late", 2, day=1)
    seal_days_ago(engine, 4)
    with faulty(lambda *_: GOOD) as llm:
        learn(engine, bounded.model_copy(update={"llm_url": llm.url}), max_users=1)
    encode(engine, bounded.model_copy(update={"encoder_dimension": 4}))
    found = refresh(engine, bounded)
    assert stages(found)["summary"].pending == 1
    assert found.waiting == timedelta(0)


def test_what_was_set_aside_does_not_wait(engine: Engine, all_users: Settings) -> None:
    add_user(engine, "a", 1)
    seal_days_ago(engine, 5)
    with faulty(lambda _, prompt: Reply(422, "{}") if "Blade Runner" in prompt else GOOD) as llm:
        learn(engine, all_users.model_copy(update={"llm_url": llm.url}), users=["a"])
    found = refresh(engine, all_users)
    assert (stages(found)["summary"].pending, stages(found)["summary"].failed) == (0, 1)
    assert found.waiting == timedelta(0)
    assert found.problems == (Problem("summary", "quarantined", "HTTP 422", 1),)
    assert found.failures("quarantined") == 1


def test_a_full_cache_waits_since_it_is_full(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 1, size=25)
    run(engine, "DELETE FROM liber.behavior_partition",
        "INSERT INTO liber.user_stream (user_key, last_seq) SELECT user_key, 25 FROM liber.user_profile",
        "UPDATE liber.behavior SET ingested_at = now() - make_interval(days => 30 - seq::integer)")  # fmt: skip
    assert days(stages(refresh(engine, settings))["partition"].oldest_pending_at) == 10
    larger = settings.model_copy(update={"partition_k": 26})
    assert stages(refresh(engine, larger))["partition"].oldest_pending_at is None


def test_an_experiment_is_behind_three_hours_after_its_first_unread_day(engine: Engine, settings: Settings) -> None:
    run(engine,
        "INSERT INTO liber.experiment (name, hypothesis, salt, control_share, treatment_share, starts_at, ends_at)"
        " SELECT name, '', name, 0.5, 0.5, date_trunc('day', now(), 'UTC') - since, now() + interval '9 days'"
        " FROM (VALUES ('old', interval '2 days'), ('new', interval '0')) AS e (name, since)")  # fmt: skip
    found = stages(refresh(engine, settings))["readout"]
    assert (found.done, found.pending) == (1, 1)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    assert found.oldest_pending_at == midnight - timedelta(days=1) + timedelta(hours=3)


def test_hours_hold_what_was_done_in_them_and_take_up_what_came_late(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 3)
    run(
        engine,
        A_FILE,
        "UPDATE liber.behavior_partition SET created_at = now() - interval '9 days' WHERE partition_no = 1",
    )
    kept = "SELECT measure, sum(n), count(*) FROM liber.pipeline_hour GROUP BY measure ORDER BY measure"
    refresh(engine, settings)
    assert [tuple(row) for row in rows(engine, kept)] == [("ingest", 9, 1), ("partition", 3, 2)]
    refresh(engine, settings)
    assert [tuple(row) for row in rows(engine, kept)] == [("ingest", 9, 1), ("partition", 3, 2)]
    run(engine, "INSERT INTO liber.behavior_partition SELECT user_key, 4, 10, 12, 3, started_at, ended_at, sealed_at,"
        " reason, now() - interval '2 hours' FROM liber.behavior_partition LIMIT 1")  # fmt: skip
    refresh(engine, settings)
    assert rows(engine, kept)[1].sum == 4


def test_what_is_kept_holds_no_id_and_no_text(engine: Engine, settings: Settings) -> None:
    add_user(engine, "secret-user", 2)
    run(engine, A_FILE, SPELT)
    said = iter(["Likes secret-user films of the north", "I am sorry, I cannot answer about secret-user"] * 9)
    with faulty(lambda *_: Reply(body=completion(next(said)))) as llm:
        learn(engine, settings.model_copy(update={"llm_url": llm.url}))
    refresh(engine, settings)
    kept = json.dumps(rows(engine, "SELECT result FROM liber.pipeline_state")[0].result)
    for private in ("secret-user", "raw of", "north", "sorry"):
        assert private not in kept
    assert "kind is unknown" in kept


def test_every_message_of_a_failed_call_has_a_class_of_its_own(engine: Engine, settings: Settings) -> None:
    said: dict[str, str] = {}
    for name, content in {
        "empty answer": "", "refusal": "I'm sorry, I cannot help with that.", "loop": "very good films, " * 40,
        "broken schema": "{", "echo of the instruction": "Describe the films in one short sentence for me please.",
    }.items():  # fmt: skip
        prompt = "Describe the films in one short sentence for me please."
        with pytest.raises(NoAnswer) as caught:
            answer_text(content, prompt, guided=name == "broken schema", cut=False)
        said[name] = str(caught.value)
    faults = {
        "HTTP 422": Reply(422, "{}"),
        "unreadable answer": Reply(200, "not JSON"),
        "connection broke": Reply(reset=True),
        "timeout": Reply(delay=2),
    }
    for name, reply in faults.items():
        patience = {"llm_timeout": 0.5 if name == "timeout" else 60.0}
        with faulty(lambda _, prompt, reply=reply: reply if prompt == "p" else GOOD) as llm:
            (error,) = ask(settings, llm.url, ["p"], **patience)
        said[name] = str(error)
    said |= {"interrupted": "not asked: the run's time was over",
             "prompt too long": "the prompt is 12 tokens too long for the server even with all left out that may be",
             "other": "something new"}  # fmt: skip
    for name, message in said.items():
        found = rows(engine, "SELECT liber.error_class(:message) AS found", message=message)[0].found
        assert found == name, message


def test_a_role_that_may_only_read_counts_and_keeps_nothing(engine: Engine, settings: Settings, cluster) -> None:
    add_user(engine, "a", 2)
    run(
        engine,
        "GRANT USAGE ON SCHEMA liber TO liber_reader",
        "GRANT SELECT ON ALL TABLES IN SCHEMA liber TO liber_reader",
    )
    reader = db.engine(cluster.url(engine.url.database, role="liber_reader"))
    assert stages(refresh(reader, settings))["summary"].pending == 2
    assert stored.stored(reader) is None


def test_who_finds_another_counting_keeps_nothing(engine: Engine, settings: Settings) -> None:
    with engine.begin() as other:
        assert other.execute(db.query("status/lock")).scalar_one()
        assert refresh(engine, settings).stages
        assert stored.stored(engine) is None
    found = refresh(engine, settings)
    assert stored.stored(engine) == found


def test_a_dear_count_is_shown_as_it_is_stored_and_a_cheap_one_made_anew(engine: Engine, settings: Settings) -> None:
    first = refresh(engine, settings)
    add_user(engine, "a", 1)
    assert stages(stored.current(engine, settings))["summary"].pending == 1
    run(engine, "UPDATE liber.pipeline_state SET result = jsonb_set(result, '{seconds}', '9')")
    add_user(engine, "b", 1)
    shown = stored.current(engine, settings)
    assert (shown.seconds, stages(shown)["summary"].pending) == (9, 1)
    assert shown.counted_at > first.counted_at


def test_a_stage_s_run_does_not_fail_because_nothing_can_be_counted(
    engine: Engine, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    run(engine, "DROP TABLE liber.pipeline_state")
    keep_fresh(engine, settings)
    assert "pipeline_state" in caplog.text


@pytest.mark.parametrize(("age", "seconds", "due"), [(59, 0.1, False), (60, 0.1, True), (99, 5, False), (100, 5, True)])
def test_counting_takes_a_twentieth_of_the_time_at_most(age: int, seconds: float, due: bool) -> None:
    assert is_due(State(NOW, seconds, ()), 60, NOW + timedelta(seconds=age)) is due
    assert is_due(None, 60)


@unhurried(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.builds(
        State,
        counted_at=MOMENTS,
        seconds=st.floats(0, 1e6),
        stages=st.lists(st.builds(Stage, oldest_pending_at=st.none() | MOMENTS), max_size=3).map(tuple),
        llm=st.lists(st.builds(LlmUse, seconds=st.floats(0, 1e9)), max_size=3).map(tuple),
        problems=st.lists(st.builds(Problem), max_size=3).map(tuple),
        newest=st.dictionaries(st.text(max_size=9), st.none() | MOMENTS, max_size=3),
    )
)
def test_what_is_written_is_read_back(state: State) -> None:
    assert from_dict(json.loads(json.dumps(state.to_dict()))) == state


def test_tokens_cost_their_price_per_million() -> None:
    uses = (LlmUse("v", "m", 1, 1, 2_000_000, 500_000, 1.0), LlmUse("w", "m", 1, 1, 1_000_000, 0, 1.0))
    assert cost(uses, 0.1, 0.4) == pytest.approx(0.5)
    assert cost(uses, None, 0.4) == pytest.approx(0.2)
    assert cost(uses, None, None) is None
