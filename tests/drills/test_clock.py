"""Promise: a worker or scheduler whose clock is wrong changes nothing; the database's clock is the one that counts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from airflow.sdk.exceptions import AirflowSkipException
from sqlalchemy import Engine

from liber_tasks import db, orchestration
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.interest.learn import learn
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests.behavior.files import behavior, write_jsonl
from tests.drills.content import content, empty
from tests.interest.data import add_user, expected, rows, texts
from tests.interest.faults import GOOD, faulty

SKEWS = [timedelta(0), timedelta(hours=1), timedelta(days=30), timedelta(hours=-1), timedelta(days=-30)]
DAY = timedelta(days=1)


@contextmanager
def clock_off_by(skew: timedelta) -> Iterator[None]:
    """This process's clock goes on, that far from the database's."""
    with time_machine.travel(datetime.now(UTC) + skew, tick=True):
        yield


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Makes the context of a task of a new run, of a scheduler with another clock."""
    monkeypatch.setenv("AIRFLOW_CONN_LIBER_POSTGRES", database_url.replace("postgresql://", "postgres://"))
    numbers = iter(range(100))

    def make(skew: timedelta = timedelta(0)) -> dict[str, Any]:
        moment = datetime.now(UTC) + skew
        of_run = SimpleNamespace(run_id=f"run-{next(numbers)}", start_date=moment, run_after=moment)
        return {"dag": SimpleNamespace(dag_id="ingest_behaviors"), "dag_run": of_run}

    return make


def test_what_comes_from_the_future_is_told_by_the_database_not_by_the_worker(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    now = db.clock(engine)
    times = {"now": now, "soon": now + timedelta(hours=12), "future": now + 3 * DAY}
    path = write_jsonl(tmp_path / "plays.jsonl", [
        behavior(event_id=name, user_id=name, event_time=moment.isoformat()) for name, moment in times.items()
    ])  # fmt: skip
    found = []
    for skew in SKEWS:
        empty(engine)
        with clock_off_by(skew):
            ingest(engine, settings, [path])
        found.append(content(engine))
    assert [name for _, _, name, *_ in found[0]["behaviors"]] == ["now", "soon"]
    assert len(found[0]["rejected"]) == 1
    assert all(each == found[0] for each in found)


@pytest.mark.parametrize("skew", SKEWS)
def test_a_scheduler_whose_clock_is_wrong_loses_no_event_and_announces_none_twice(
    engine: Engine, settings: Settings, tmp_path: Path, run: Callable[..., dict[str, Any]], skew: timedelta
) -> None:
    def arrive(*users: str) -> None:
        name = tmp_path / f"{users[0]}.jsonl"
        ingest(engine, settings, [write_jsonl(name, [behavior(event_id=user, user_id=user) for user in users])])
        seal(engine, PartitionRule(k=1), datetime.now(UTC))

    first = run(skew)
    arrive("a", "b")
    with clock_off_by(-skew):  # the worker's differs from both
        assert orchestration.announce(first, "partitions") == 2
        assert orchestration.announce(first, "partitions") == 2  # its retry, where it died before Airflow knew
        with pytest.raises(AirflowSkipException, match="no new partitions"):
            orchestration.announce(run(skew), "partitions")
    arrive("c")  # by a run that failed before it came to announce
    arrive("d")
    assert orchestration.announce(run(skew), "partitions") == 2


@pytest.mark.parametrize("skew", SKEWS)
def test_no_cache_is_closed_by_a_time_that_has_not_come(
    engine: Engine, run: Callable[..., dict[str, Any]], skew: timedelta
) -> None:
    context = run(skew)
    assert orchestration.run_time(context) == pytest.approx(
        min(context["dag_run"].run_after, db.clock(engine)), abs=timedelta(minutes=1)
    )
    assert orchestration.run_time(context) <= db.clock(engine)


def test_the_ledger_has_the_database_s_times_and_a_budget_of_time_is_measured_by_them(
    engine: Engine, settings: Settings
) -> None:
    users, before = {add_user(engine, "a", 3): 3}, db.clock(engine)
    with faulty(lambda *_: GOOD) as seen, clock_off_by(30 * DAY):
        settings = settings.model_copy(update={"llm_url": seen.url})
        learn(engine, settings, max_calls=2, max_seconds=3600, run_id="same")
        learn(engine, settings, max_seconds=3600, run_id="same")
    assert texts(engine) == expected(users)
    ((begun, ended),) = rows(engine, "SELECT min(started_at), max(finished_at) FROM liber.llm_call")
    assert before <= begun <= ended <= db.clock(engine)
