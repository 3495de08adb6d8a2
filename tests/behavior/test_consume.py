"""Promises of the stream consumer: what a message comes to, in any batching, from any broker."""

import json
import signal
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from liber_tasks.behavior.brokers.kafka import KafkaTopic
from liber_tasks.behavior.consume import consume, stopped_by_signals
from liber_tasks.behavior.erase import erase
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from tests.behavior import state
from tests.behavior.brokers import KafkaFeed
from tests.behavior.consuming import content, counts, drained, emptied, encoded
from tests.behavior.files import behavior, write_jsonl

START = datetime(2024, 5, 1, tzinfo=UTC)


def as_files(engine: Engine, settings: Settings, path, messages: list[Any], ends: list[int]) -> None:
    """Ingest the messages as files that end after so many of them each."""
    generous = settings.model_copy(update={"max_rejected_share": 1.0})
    for number, (start, end) in enumerate(pairwise([0, *ends])):
        ingest(engine, generous, [write_jsonl(path / f"{number}.jsonl", messages[start:end])])


@st.composite
def message_lists(draw: st.DrawFn, ordered: bool) -> list[Any]:
    """Events of three users, some twice, some bad; the first is good, so that a file of them has all columns."""
    rows: list[Any] = [behavior(0, event_id="e000", event_time=START.isoformat())]
    for n, kind in enumerate(draw(st.lists(st.sampled_from("ggggdbj"), max_size=40)), start=1):
        moment = START + timedelta(minutes=n if ordered else draw(st.integers(0, 5)))
        good = behavior(n, user_id=f"u{n % 3}", event_time=moment.isoformat(), event_id=f"e{n:03}")
        again = rows[draw(st.integers(0, len(rows) - 1))]
        rows.append({"g": good, "d": again, "b": {**good, "kind": "sneeze"}, "j": "{broken"}[kind])
    return rows


BOUNDS = hypothesis_settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@BOUNDS
@given(messages=message_lists(ordered=True), batch=st.integers(1, 50))
def test_in_order_of_time_any_batching_gives_what_one_file_gives(
    broker, engine, settings, tmp_path, messages: list[Any], batch: int
) -> None:
    emptied(engine)
    feed = broker.feed()
    feed.send(encoded(messages))
    report = drained(engine, settings, feed, batch=batch)
    streamed = content(engine)
    assert counts(engine) == (report.rows_read, report.accepted, report.duplicates, report.rejected)
    emptied(engine)
    as_files(engine, settings, tmp_path, messages, [len(messages)])
    file = content(engine)
    assert (streamed["stream"], streamed["cursors"]) == (file["stream"], file["cursors"])
    assert streamed["rejected"] == file["rejected"]
    assert counts(engine) == (report.rows_read, report.accepted, report.duplicates, report.rejected)


@BOUNDS
@given(messages=message_lists(ordered=False), batch=st.integers(1, 50))
def test_in_any_order_a_batch_is_what_a_file_is(
    broker, engine, settings, tmp_path, messages: list[Any], batch: int
) -> None:
    emptied(engine)
    feed = broker.feed()
    ends: list[int] = []
    feed.send(encoded(messages))
    drained(engine, settings, feed, batch=batch, progress=lambda done, total, label: ends.append(done))
    streamed = content(engine)
    assert max(end - start for start, end in pairwise([0, *ends])) <= batch
    emptied(engine)
    for number, (start, end) in enumerate(pairwise([0, *ends])):
        path = tmp_path / str(number)
        path.mkdir(exist_ok=True)
        # a good line in front keeps a batch of bad rows loadable as a file; the same line is a duplicate elsewhere
        as_files(engine, settings, path, [messages[0], *messages[start:end]], [1 + end - start])
    assert streamed["stream"] == content(engine)["stream"]


def test_a_message_passes_the_checks_of_a_line(broker, engine, settings, tmp_path) -> None:
    rows = [behavior(1)]
    rows += [behavior(2, **{name: None}) for name in ("event_id", "user_id", "item_id", "event_time", "kind")]
    rows += [behavior(2, event_time=value) for value in ("soon", "2024-05-01T10:00:00", -5, "2199-01-01T00:00:00Z")]
    rows += [behavior(2, kind="sneeze"), behavior(2, rating="good"), behavior(2, play_seconds=-1)]
    rows += [behavior(2, user_id="a\0b"), behavior(2, item_id="x" * 600), behavior(2, user_id=["u1"])]
    rows += ["{broken", "[]", "7", '"text"', "null", behavior(2, context=3)]
    feed = broker.feed()
    feed.send(encoded(rows))
    report = drained(engine, settings, feed)
    streamed = content(engine)
    assert (report.rows_read, report.accepted) == (len(rows), 1)
    emptied(engine)
    as_files(engine, settings, tmp_path, rows, [len(rows)])
    assert streamed == content(engine)


def test_what_only_a_message_can_be_is_rejected_with_its_reason(broker, engine, settings) -> None:
    feed = broker.feed()
    feed.send([b"", b" \n", b"\xff\xfe", encoded([behavior(1)])[0]])
    expected = {"the message is empty": 2, "the message is not UTF-8": 1}
    if isinstance(feed, KafkaFeed):
        feed.send([None])
        expected["the message is empty"] = 3
    else:
        feed.client.xadd(feed.key, {"event_id": "e1", "user_id": "u1"})
        expected["the entry has more than the one field that holds the row"] = 1
    report = drained(engine, settings, feed)
    assert report.reasons == expected
    assert report.accepted == 1


def test_a_line_break_inside_a_message_is_no_end_of_it(broker, engine, settings) -> None:
    feed = broker.feed()
    feed.send([json.dumps(behavior(1), indent=2).encode()])
    assert drained(engine, settings, feed).accepted == 1


def test_a_stream_of_bad_messages_is_not_refused_and_says_so_batch_by_batch(broker, engine, settings) -> None:
    feed = broker.feed()
    feed.send(encoded([behavior(n, kind="sneeze") for n in range(40)]))
    told: list[str] = []
    report = drained(engine, settings, feed, batch=20, progress=lambda done, total, label: told.append(label))
    assert (report.rows_read, report.rejected) == (40, 40)
    assert all("rejected: kind is unknown" in label for label in told)
    assert [row[1] for row in state.everything(engine)["rejected"]] == list(range(1, 41))


def test_a_second_run_goes_on_where_the_first_stopped(broker, engine, settings) -> None:
    feed = broker.feed()
    feed.send(encoded([behavior(n) for n in range(30)]))
    assert drained(engine, settings, feed).accepted == 30
    assert drained(engine, settings, feed).rows_read == 0
    feed.send(encoded([behavior(n) for n in range(25, 35)]))
    report = drained(engine, settings, feed)
    assert (report.rows_read, report.accepted, report.duplicates) == (10, 5, 5)
    assert counts(engine) == (40, 35, 5, 0)


def test_messages_of_an_erased_user_are_refused_and_counted(broker, engine, settings) -> None:
    feed = broker.feed()
    feed.send(encoded([behavior(n, user_id=f"u{n % 2}") for n in range(10)]))
    drained(engine, settings, feed)
    erase(engine, "u1")
    feed.send(encoded([behavior(n, user_id=f"u{n % 2}") for n in range(10, 20)]))
    report = drained(engine, settings, feed)
    assert (report.rows_read, report.accepted, report.refused) == (10, 5, 5)
    assert {row[0] for row in state.stream(engine)} == {"u0"}


def test_items_and_users_come_as_messages_too(broker, engine, settings) -> None:
    items, users = broker.feed(), broker.feed()
    items.send(encoded([{"item_id": "i1", "title": "Heat"}, {"item_id": "i1", "title": "Heat", "year": 1995}, {}]))
    users.send(encoded([{"user_id": "u1", "age": 7}]))
    report = drained(engine, settings, items, kind="items")
    assert (report.rows_read, report.accepted, report.reasons) == (3, 1, {"item_id is missing": 1})
    assert drained(engine, settings, users, kind="users").accepted == 1
    profiles = state.everything(engine)["profiles"]
    assert [row[3] for row in profiles] == [{"year": 1995}, {"age": 7}]


def test_the_same_stream_may_be_read_as_two_kinds(broker, engine, settings) -> None:
    feed = broker.feed()
    feed.send(encoded([{"user_id": "u1", "item_id": "i1", "title": "Heat"}]))
    assert drained(engine, settings, feed, kind="items").accepted == 1
    assert drained(engine, settings, feed, kind="users").accepted == 1


def test_stop_is_asked_between_batches(broker, engine, settings) -> None:
    feed = broker.feed()
    feed.send(encoded([behavior(n) for n in range(30)]))
    report = drained(engine, settings, feed, batch=10, stop=lambda: counts(engine)[0] == 20)
    assert (report.rows_read, counts(engine)) == (20, (20, 20, 0, 0))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_the_batch_at_hand(broker, engine, settings, number: int) -> None:
    feed = broker.feed()
    feed.send(encoded([behavior(n) for n in range(30)]))
    before = signal.getsignal(number)
    with stopped_by_signals() as stop:
        report = drained(
            engine,
            settings,
            feed,
            batch=10,
            stop=stop,
            until_idle=None,
            progress=lambda *_: signal.raise_signal(number),
        )
    assert (report.rows_read, counts(engine)) == (10, (10, 10, 0, 0))
    assert signal.getsignal(number) is before


def test_every_partition_of_a_topic_is_a_stream_with_a_position(kafka, engine, settings) -> None:
    feed = kafka.feed(partitions=3)
    for partition in range(3):
        feed.send(encoded([behavior(n, user_id=f"u{partition}") for n in range(partition * 10)]), partition)
    report = drained(engine, settings, feed, batch=7)
    assert {stream.source[-2:]: stream.accepted for stream in report.streams} == {"/0": 0, "/1": 10, "/2": 20}
    sources = "SELECT right(source, 1), rows_read::int, split_part(position, ' ', 1) FROM liber.ingest_file ORDER BY 1"
    assert state.rows(engine, sources) == [("1", 10, "10"), ("2", 20, "20")]


def test_a_partition_added_later_is_read_too(kafka, engine, settings, monkeypatch) -> None:
    feed = kafka.feed(partitions=2)
    for partition in range(2):
        feed.send(encoded([behavior(n, user_id=f"u{partition}") for n in range(10)]), partition)
    streams, asked = KafkaTopic.streams, []

    def grows(topic: KafkaTopic) -> dict[str, str]:  # the broker of the tests cannot add partitions
        asked.append(1)
        return dict(list(streams(topic).items())[: len(asked)])

    monkeypatch.setattr(KafkaTopic, "streams", grows)
    assert [stream.accepted for stream in drained(engine, settings, feed).streams] == [10, 10]


def test_the_group_is_told_what_is_stored(kafka, engine, settings) -> None:
    feed = kafka.feed()
    feed.send(encoded([behavior(n) for n in range(10)]))
    drained(engine, settings, feed, batch=4)
    watcher = Consumer({"bootstrap.servers": feed.bootstrap, "group.id": "liber"})
    assert watcher.committed([TopicPartition(feed.name, 0)], timeout=10)[0].offset == 10
    watcher.close()


def test_the_position_does_not_depend_on_how_the_broker_is_addressed(kafka, engine, settings) -> None:
    feed = kafka.feed()
    feed.send(encoded([behavior(n) for n in range(10)]))
    drained(engine, settings, feed)
    feed.url = feed.url.replace("kafka://", f"kafka://localhost:{kafka.gate.port},")
    assert drained(engine, settings, feed).rows_read == 0


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("amqp://host/queue", "'amqp' are not known"),
        ("kafka://host:9092", "lacks a host or a name"),
        ("kafka://host:9092/a/b", "no name of a Kafka topic"),
        ("kafka://host:9092/t?auto.offset.reset=latest", "auto.offset.reset cannot be chosen"),
        ("kafka://host:9092/t?colour=red", "does not take this"),
        ("redis://host/key", "database and key"),
        ("redis://host:6379/0/key?db=x", "does not take this"),
    ],
)
def test_an_address_that_means_no_stream_is_an_error(engine, settings, url: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        consume(engine, settings, url)


def test_a_topic_that_is_not_there_is_an_error(broker, engine, settings) -> None:
    feed = broker.feed()
    feed.url = feed.url.replace(feed.name if isinstance(feed, KafkaFeed) else feed.key, "nothing")
    with pytest.raises(InputError, match="no such"):
        drained(engine, settings, feed)
