"""Exposures: the first of each user stays, whoever brings it and how often."""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from liber_tasks import db
from liber_tasks.behavior.erase import erase, readmit
from liber_tasks.errors import InputError
from liber_tasks.experiment import exposure as module
from liber_tasks.experiment.define import define
from liber_tasks.experiment.exposure import log_exposures
from liber_tasks.experiment.exposure_file import read_exposures
from liber_tasks.experiment.life import ramp
from liber_tasks.experiment.simulate import simulate
from liber_tasks.local.postgres import Cluster
from tests.experiment.defining import BEFORE, DURING, END, START, definition, rows

HOUR = timedelta(hours=1)
ASSIGNMENT = definition().assignment
CONTROL, TREATED = (
    next(user for user in map(str, range(99)) if ASSIGNMENT.arm_of(user) == arm) for arm in ("control", "treatment")
)


@pytest.fixture
def running(engine: Engine) -> Engine:
    """A database with the experiment `ranking`."""
    define(engine, definition(), now=BEFORE)
    return engine


def stored(engine: Engine) -> dict[str, tuple[Any, ...]]:
    return {row["user_id"]: (row["arm"], row["exposed_at"], row["crossed_at"]) for row in rows(engine, "exposure")}


def test_users_are_stored_in_the_arm_of_their_bucket(running: Engine) -> None:
    users = [f"u{n}" for n in range(500)]
    report = log_exposures(running, "ranking", [(user, START + HOUR) for user in users])
    assert report.to_dict() == {
        "experiment": "ranking", "rows": 500, "added": 500, "changed": 0, "crossed": 0, "refused": {},
    }  # fmt: skip
    assert stored(running) == {user: (ASSIGNMENT.arm_of(user), START + HOUR, None) for user in users}


def test_the_earliest_exposure_stays_and_a_repetition_changes_nothing(running: Engine) -> None:
    batch = [("a", START + 2 * HOUR), ("a", START + 5 * HOUR), ("b", START)]
    assert log_exposures(running, "ranking", batch).added == 2
    again = log_exposures(running, "ranking", batch)
    assert (again.added, again.changed) == (0, 0)
    assert log_exposures(running, "ranking", [("a", START + HOUR), ("b", START + HOUR)]).changed == 1
    assert {user: at for user, (_, at, _) in stored(running).items()} == {"a": START + HOUR, "b": START}


def test_a_user_served_the_other_arm_keeps_the_own_one_and_is_marked(running: Engine) -> None:
    report = log_exposures(
        running,
        "ranking",
        [
            (CONTROL, START, "control"),
            (CONTROL, START + 3 * HOUR, "treatment"),
            (CONTROL, START + 2 * HOUR, "treatment"),
            (TREATED, START + HOUR, "control"),
        ],
    )
    assert report.crossed == 2
    assert stored(running) == {
        CONTROL: ("control", START, START + 2 * HOUR),
        TREATED: ("treatment", START + HOUR, START + HOUR),
    }
    assert log_exposures(running, "ranking", [(CONTROL, START + HOUR, "treatment")]).changed == 1
    assert stored(running)[CONTROL] == ("control", START, START + HOUR)


served = st.tuples(
    st.sampled_from([CONTROL, TREATED]), st.integers(-30, 400), st.sampled_from([None, "control", "treatment"])
)


@given(events=st.lists(served, min_size=1, max_size=12), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_and_number_of_calls_do_not_matter(engine: Engine, events: list[Any], seed: int) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM liber.experiment"))
    define(engine, definition(), now=BEFORE)
    made = [(user, START + hours * HOUR, arm) for user, hours, arm in events]
    chance = random.Random(seed)
    calls = [*made, *chance.sample(made, len(made) // 2)]
    chance.shuffle(calls)
    while calls:
        part = [calls.pop() for _ in range(min(len(calls), chance.randint(1, 4)))]
        log_exposures(engine, "ranking", part)
    timely = [one for one in made if START <= one[1] < END]
    assert stored(engine) == {
        user: (
            own,
            min(at for who, at, _ in timely if who == user),
            min((at for who, at, arm in timely if who == user and arm not in (None, own)), default=None),
        )
        for user, own in ((CONTROL, "control"), (TREATED, "treatment"))
        if any(who == user for who, _, _ in timely)
    }


def test_what_is_not_of_the_experiment_is_counted_by_reason(engine: Engine) -> None:
    define(engine, definition(arms={"control": 0.2, "treatment": 0.2}, traffic=0.5), now=BEFORE)
    users = [f"u{n}" for n in range(300)]
    inside = [user for user in users if definition(
        arms={"control": 0.2, "treatment": 0.2}, traffic=0.5).assignment.arm_of(user)]  # fmt: skip
    calls = [(user, START) for user in users] + [("u1", START - HOUR), ("u2", END), ("u2", END + HOUR)]
    report = log_exposures(engine, "ranking", calls)
    assert report.refused == {"outside": 300 - len(inside), "before_start": 1, "after_end": 2}
    assert (report.rows, report.added) == (303, len(inside))
    assert set(stored(engine)) == set(inside)


def test_a_ramp_lets_in_users_who_were_outside(engine: Engine) -> None:
    define(engine, definition(traffic=0.1), now=BEFORE)
    users = [(f"u{n}", START) for n in range(300)]
    first = log_exposures(engine, "ranking", users)
    ramp(engine, "ranking", 1.0, now=DURING)
    assert log_exposures(engine, "ranking", users).added == 300 - first.added


def test_a_simulated_experiment_takes_none(engine: Engine) -> None:
    simulate(engine, name="sim", users=100)
    with pytest.raises(InputError, match="'sim' is simulated"):
        log_exposures(engine, "sim", [("u", START)])


def test_an_erased_user_leaves_the_exposures_and_is_refused_until_readmitted(running: Engine) -> None:
    log_exposures(running, "ranking", [("a", START), (CONTROL, START)])
    assert erase(running, "a").removed == {"exposure": 1}
    report = log_exposures(running, "ranking", [("a", START), ("a", START + HOUR), ("c", START)])
    assert (report.added, report.refused) == (1, {"erased": 2})
    assert set(stored(running)) == {"c", CONTROL}
    readmit(running, "a")
    assert log_exposures(running, "ranking", [("a", START)]).added == 1


def test_of_two_that_log_at_once_the_earliest_stays(running: Engine) -> None:
    users = [f"u{n}" for n in range(400)]

    def log(hour: int) -> int:
        order = random.Random(hour).sample(users, len(users))
        return log_exposures(running, "ranking", [(user, START + hour * HOUR) for user in order]).added

    with ThreadPoolExecutor(6) as pool:
        added = list(pool.map(log, (5, 3, 1, 2, 4, 6)))
    assert sum(added) == len(users)
    assert {at for _, at, _ in stored(running).values()} == {START + HOUR}


def test_one_copy_holds_a_bounded_number_of_rows(running: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COPY_ROWS", 7)
    seen: list[int] = []
    report = log_exposures(
        running, "ranking", ((f"u{n}", START) for n in range(20)), progress=lambda done, *_: seen.append(done)
    )
    assert (report.added, seen) == (20, [7, 14, 20])


def test_a_service_needs_no_more_than_the_documented_rights(running: Engine, cluster: Cluster) -> None:
    url = running.url
    cluster.ensure({"serving": cluster.password}, {})
    with running.begin() as connection:
        connection.connection.cursor().execute(
            f"GRANT CONNECT, TEMPORARY ON DATABASE {url.database} TO serving; GRANT USAGE ON SCHEMA liber TO serving;"
            "GRANT SELECT, INSERT, UPDATE ON liber.exposure TO serving;"
            "GRANT SELECT, UPDATE ON liber.experiment TO serving"
        )
    service = db.engine(cluster.url(str(url.database), role="serving"))
    erase(running, "a")
    report = log_exposures(service, "ranking", [("a", START), ("b", START), ("b", START - HOUR)])
    assert (report.added, report.refused) == (1, {"before_start": 1, "erased": 1})


# Rows and files


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("", START), "user_id is ''"),
        ((7, START), "user_id is 7"),
        (("a\0", START), "user_id"),
        (("é" * 257, START), "1 to 512 bytes"),
        (("\udc80", START), "user_id"),
        (("a", "2026-03-02"), "exposed_at is '2026-03-02'; give a moment"),
        (("a", datetime(2026, 3, 2)), "exposed_at .* with its zone"),
        (("a", START, "green"), "arm is 'green'"),
        (("a",), "give \\(user_id, exposed_at\\)"),
    ],
)
def test_a_wrong_row_is_named_and_nothing_is_stored(running: Engine, row: tuple[Any, ...], said: str) -> None:
    with pytest.raises(InputError, match=rf"^Row 3.* {said}|^Row 3: {said}|^Row 3 is .*{said}"):
        log_exposures(running, "ranking", [("x", START), ("y", START), row])
    assert stored(running) == {}


def test_both_kinds_of_file_give_the_same_rows(tmp_path: Path) -> None:
    lines = tmp_path / "e.jsonl"
    lines.write_text('{"user_id": "a,b", "exposed_at": "2026-03-02T01:00:00+01:00", "arm": "control"}\n\n'
                     '{"user_id": "c", "exposed_at": "2026-03-02T00:00:00Z"}\n')  # fmt: skip
    table = tmp_path / "e.csv"
    table.write_text(
        '\ufeffexposed_at,user_id,arm\r\n2026-03-02T00:00:00Z,"a,b",control\r\n2026-03-02T00:00:00Z,c,\r\n'
    )
    assert list(read_exposures(lines)) == list(read_exposures(table)) == [("a,b", START, "control"), ("c", START, None)]


GOOD = json.dumps({"user_id": "a", "exposed_at": "2026-03-02T00:00:00Z"}) + "\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("e.jsonl", GOOD + "{\n", "line 2: this is not a JSON object"),
        ("e.jsonl", GOOD + "\n[1]\n", "line 3: this is not a JSON object"),
        ("e.jsonl", GOOD + '{"user_id": "a", "exposed_at": "today"}\n', "line 2: exposed_at is 'today'"),
        ("e.jsonl", GOOD + '{"user_id": "a", "exposed_at": "2026-03-02T00:00:00"}\n', "line 2: exposed_at"),
        ("e.jsonl", '{"user": "a"}\n', "line 1: 'user' is no field of an exposure"),
        ("e.csv", "user_id,arm\na,control\n", "line 1: the column exposed_at is missing"),
        ("e.csv", "", "line 1: the column user_id is missing"),
        ("e.csv", "user_id,exposed_at\na,2026-03-02T00:00:00Z\n,2026-03-02T00:00:00Z\n", "line 3: user_id is None"),
        ("e.csv", "user_id,exposed_at\na,2026-03-02T00:00:00Z,x\n", "line 2: there are more values"),
        ("e.parquet", "", "read from .jsonl or .csv"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_stored(
    running: Engine, tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=rf"{name}.*{said}"):
        log_exposures(running, "ranking", read_exposures(tmp_path / name))
    assert stored(running) == {}


def test_a_reader_that_breaks_leaves_nothing(running: Engine) -> None:
    def broken() -> Iterator[tuple[str, datetime]]:
        yield ("a", START)
        raise RuntimeError("the log went away")

    with pytest.raises(RuntimeError, match="went away"):
        log_exposures(running, "ranking", broken())
    assert stored(running) == {}
