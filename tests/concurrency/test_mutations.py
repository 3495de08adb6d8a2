"""Each lock of ingest and seal is needed: without it, some interleaving of two calls breaks the promise.

The product is not touched: a statement's text is changed on its way to the server. Interleavings are drawn until one
breaks; with the statement as it is, none does (all of them: test_interleavings).
"""

import re
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import NamedTuple

import psycopg2
import pytest
from sqlalchemy import Engine

from liber_tasks.behavior.ingest import ingest
from liber_tasks.db import SQL
from liber_tasks.partition.stream import seal
from tests.behavior import state
from tests.behavior.files import behavior, write_jsonl
from tests.concurrency import serial
from tests.concurrency.scene import BASE, LATE, ON_TIME, WATERMARK, Scene, sealed_at_last
from tests.concurrency.serial import Act, Broken
from tests.concurrency.stepping import Change, Job, wait_for_locks
from tests.partition.oracle import Event, Rule
from tests.partition.streams import as_rule, moment, write

DRAWN = 5
RULE = Rule(k=4, gap=12, max_age=35, min_events=2)
REQUESTED = Rule(k=5, model=True)


def without(pattern: str) -> Change:
    """The statement with one piece taken out; the piece must be there."""

    def change(statement: str) -> str:
        changed, found = re.subn(pattern, "", statement)
        assert found == 1, statement
        return changed

    return change


UNLOCKED, UNGUARDED = without(r"FOR UPDATE( OF \w+)?"), without(r"ON CONFLICT \([\w, ]+\) DO NOTHING")


def two_files(scene: Scene, user: str) -> Sequence[Act]:
    return [scene.load(user, "x", ON_TIME), scene.load(user, "y", LATE)]


def one_file_twice(scene: Scene, user: str) -> Sequence[Act]:
    return [scene.load(user, "x", ON_TIME, ("behavior/start_file", "commit"))] * 2


def two_files_of_a_new_user(scene: Scene, user: str) -> Sequence[Act]:
    return [scene.load(user, name, events, serial.INGEST_NEW) for name, events in (("x", ON_TIME), ("y", LATE))]


def two_files_of_a_user_with_nothing_but_a_profile(scene: Scene, user: str) -> Sequence[Act]:
    path = write_jsonl(scene.folder / f"{user}.jsonl", [{"user_id": user}])
    ingest(scene.engine, scene.settings, [path], kind="users")
    return two_files_of_a_new_user(scene, user)


def two_files_of_a_new_item(scene: Scene, user: str) -> Sequence[Act]:
    stops = (serial.ITEMS, *serial.INGEST)
    return [scene.load(user, "x", ON_TIME, stops), scene.load(user, "y", LATE, stops)]


def two_consumers(scene: Scene, user: str) -> Sequence[Act]:
    """Of a stream that both meet first."""
    return [serial.consume(scene.settings, user, ON_TIME, None, "1")] * 2


def two_consumers_going_on(scene: Scene, user: str) -> Sequence[Act]:
    first = serial.consume(scene.settings, user, BASE[:1], None, "1")  # an event known already: changes the position
    first.call(scene.engine)
    acts = [serial.consume(scene.settings, user, ON_TIME, "1", "2")] * 2
    return [Act(act.call, after(first, act), act.said, act.stops) for act in acts]


def after(first: Act, act: Act) -> Callable[[serial.Stream], object]:
    """Model of an act that finds a position."""

    def model(stream: serial.Stream) -> object:
        first.model(stream)
        return act.model(stream)

    return model


def file_and_sealer(scene: Scene, user: str) -> Sequence[Act]:
    return [scene.load(user, "x", ON_TIME), serial.close(user, RULE, WATERMARK)]


def two_sealers(scene: Scene, user: str) -> Sequence[Act]:
    return [serial.close(user, RULE, WATERMARK)] * 2


def two_sealers_by_count(scene: Scene, user: str) -> Sequence[Act]:
    return [serial.close(user, Rule(k=3), WATERMARK)] * 2


def request_and_sealer(scene: Scene, user: str) -> Sequence[Act]:
    return [serial.request(user, "b2", "b3"), serial.close(user, REQUESTED, WATERMARK)]


class Mutation(NamedTuple):
    """A statement, what is taken out of it in which of the calls that meet, and what comes of it."""

    statement: str
    change: Change
    acts: Callable[[Scene, str], Sequence[Act]]
    symptom: str
    changed: Sequence[int] = (0, 1)
    base: Sequence[Event] = BASE


TWICE, WRONG = "UniqueViolation", "expected one of"
MUTATIONS = [
    Mutation("behavior/start_file", UNGUARDED, one_file_twice, TWICE),
    Mutation("behavior/add_users", UNGUARDED, two_files_of_a_new_user, TWICE, base=()),
    Mutation("behavior/add_streams", UNGUARDED, two_files_of_a_user_with_nothing_but_a_profile, TWICE, base=()),
    Mutation("behavior/add_items", UNGUARDED, two_files_of_a_new_item, TWICE),
    Mutation("behavior/lock_streams", UNLOCKED, two_files, TWICE),
    Mutation("behavior/message_stream_add", UNGUARDED, two_consumers, TWICE),
    Mutation("behavior/message_stream_lock", UNLOCKED, two_consumers_going_on, WRONG),
    Mutation("partition/lock_streams", UNLOCKED, two_sealers, TWICE),
    Mutation("partition/lock_streams", UNLOCKED, two_sealers_by_count, TWICE),
    Mutation("partition/lock_streams", UNLOCKED, file_and_sealer, WRONG, changed=[1]),
    Mutation("partition/lock_streams", UNLOCKED, request_and_sealer, WRONG, changed=[0]),
    Mutation("partition/lock_streams", UNLOCKED, request_and_sealer, WRONG, changed=[1]),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m.statement} of {m.acts.__name__}")
def test_without_this_lock_an_interleaving_breaks_the_promise(scene: Scene, mutation: Mutation) -> None:
    def acts(user: str) -> Sequence[Act]:
        return mutation.acts(scene, user)

    last = sealed_at_last(REQUESTED if mutation.acts is request_and_sealer else RULE)
    scene.play(acts, last, mutation.base, drawn=DRAWN)
    changes = {mutation.statement: mutation.change}
    with pytest.raises(Broken, match=mutation.symptom):
        scene.play(acts, last, mutation.base, drawn=20 * DRAWN, changes=changes, changed=mutation.changed)


def test_no_statement_that_locks_is_missing_above() -> None:
    files = [path for stage in ("behavior", "partition") for path in (SQL / "queries" / stage).glob("*.sql")]
    text = {f"{path.parent.name}/{path.stem}": path.read_text(encoding="utf-8") for path in files}
    locking = {
        name for name, sql in text.items() if re.search(r"FOR (NO KEY )?UPDATE|FOR (KEY )?SHARE|LOCK TABLE", sql)
    }
    guarding = {name for name, sql in text.items() if "DO NOTHING" in sql}
    # a request writes under the lock on the stream: the conflict is with an earlier one
    assert locking | guarding - {"partition/request_cuts"} == {mutation.statement for mutation in MUTATIONS}


# Orders of locking: two calls that meet the same three users or items, of which somebody holds the second


USERS = ["a", "m", "z"]
PROFILE = "INSERT INTO liber.user_profile (user_id) VALUES ('m')"
ITEM = "INSERT INTO liber.item (item_id) VALUES ('m')"
STREAM = "INSERT INTO liber.user_stream (user_key) SELECT user_key FROM liber.user_profile WHERE user_id = 'm'"
LOCKED = """SELECT FROM liber.user_stream
    WHERE user_key = (SELECT user_key FROM liber.user_profile WHERE user_id = 'm') FOR UPDATE"""


class Order(NamedTuple):
    """A statement that locks several rows, what is known before, and what holds the second of them."""

    statement: str
    known: str
    held: str


ORDERS = [
    Order("behavior/add_users", "", PROFILE),
    Order("behavior/add_items", "behaviors", ITEM),
    Order("behavior/add_streams", "users", STREAM),
    Order("behavior/lock_streams", "behaviors", LOCKED),
    Order("partition/lock_streams", "behaviors", LOCKED),
]


@pytest.mark.parametrize("same", [True, False], ids=["same order", "one the other way round"])
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.statement)
def test_rows_are_locked_in_one_order_so_that_two_calls_never_deadlock(
    scene: Scene, database_url: str, order: Order, same: bool
) -> None:
    if order.known == "users":
        path = write_jsonl(scene.folder / "users.jsonl", [{"user_id": user} for user in USERS])
        ingest(scene.engine, scene.settings, [path], kind="users")
    if order.known == "behaviors":
        path = write(scene.folder / "known.jsonl", dict.fromkeys(USERS, BASE))
        ingest(scene.engine, scene.settings, [path])

    def call(number: int) -> Callable[[Engine], object]:
        if order.statement.startswith("partition"):
            users = USERS[:: 1 - 2 * number]
            return lambda engine: seal(engine, as_rule(RULE), moment(WATERMARK), users=users)
        items = USERS if order.statement.endswith("items") else [f"i{number}"] * 3
        rows = [
            behavior(0, event_id=f"f{number}", user_id=user, item_id=item)
            for user, item in zip(USERS, items, strict=True)
        ][:: 1 - 2 * number]
        path = write_jsonl(scene.folder / f"{number}.jsonl", rows)
        return lambda engine: ingest(engine, scene.settings, [path])

    turned = {order.statement: lambda statement: re.sub(r"(ORDER BY [\w.]+)", r"\1 DESC", statement)}
    jobs = [Job(scene.seats[0], call(0), ()), Job(scene.seats[1], call(1), (), None if same else turned)]
    with closing(psycopg2.connect(database_url)) as holder:
        holder.cursor().execute(order.held)
        for job in jobs:
            job.start()
            while not wait_for_locks(scene.engine, [job]):
                assert not job.ended
        holder.rollback()
    for job in jobs:
        job.wait(30)
    errors = [str(job.error) for job in jobs if job.error]
    assert ["deadlock detected" in error for error in errors] == ([] if same else [True])
    if order.known == "behaviors" and same:
        assert len({row[0] for row in state.stream(scene.engine)}) == len(USERS)
