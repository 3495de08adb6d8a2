"""Promises of the stream consumer when messages are gone before they were read: told, never silently skipped."""

import json
import threading

import pytest
from confluent_kafka import Producer
from sqlalchemy import text

from liber_tasks.behavior.brokers import kafka as kafka_client
from liber_tasks.errors import LiberError
from tests.behavior.brokers import KafkaFeed, KafkaServer
from tests.behavior.consuming import counts, drained, numbered, stored
from tests.behavior.files import behavior

pytestmark = pytest.mark.usefixtures("impatient")


def test_a_topic_made_anew_is_refused_until_told_to_go_on(engine, settings, tmp_path) -> None:
    server = KafkaServer(tmp_path)
    server.start()
    try:
        feed = server.feed("again")
        feed.send(numbered(0, 10))
        drained(engine, settings, feed)
        server.stop()
        server.start()  # its memory is gone
        server.feed("again").send(numbered(10, 40))
        with pytest.raises(LiberError, match=r"made anew since it was read up to offset 10.*--skip-lost"):
            drained(engine, settings, feed)
        report = drained(engine, settings, feed, skip_lost=True)
        assert (report.rows_read, len(report.streams[0].lost)) == (30, 1)
        assert stored(engine) == list(range(40))
        assert drained(engine, settings, feed).rows_read == 0
    finally:
        server.stop()


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> KafkaFeed:
    """A topic that keeps 5 MB: of librdkafka's mock cluster, since the real broker of the tests deletes nothing."""
    monkeypatch.setattr(kafka_client, "SILENT", 1)  # it knows no ids of topics
    mock = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "", "log_level": 2})
    node = next(iter(mock.list_topics(timeout=5).brokers.values()))
    feed = KafkaFeed(f"{node.host}:{node.port}", "limited")
    feed.mock = mock  # type: ignore[attr-defined] lives as long as the feed
    return feed


def test_messages_that_kafka_deleted_unread_are_named_and_skipped_only_on_request(engine, settings, limited) -> None:
    limited.send(numbered(0, 10))
    assert drained(engine, settings, limited).accepted == 10
    big = [json.dumps(behavior(n, padding="x" * 500_000)).encode() for n in range(10, 40)]
    limited.send(big)
    with pytest.raises(LiberError, match=r"/0: (\d+) messages \(offsets 10 to (\d+)\) were deleted") as caught:
        drained(engine, settings, limited)
    lost = int(str(caught.value).split(": ")[1].split()[0])
    assert counts(engine) == (10, 10, 0, 0)
    report = drained(engine, settings, limited, skip_lost=True)
    assert (0 < lost < 30, report.accepted) == (True, 30 - lost)
    assert stored(engine)[10:] == list(range(10 + lost, 40))
    assert drained(engine, settings, limited).rows_read == 0


def test_a_kafka_log_that_was_cut_behind_us_is_refused(engine, settings, limited) -> None:
    limited.send(numbered(0, 10))
    drained(engine, settings, limited)
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.ingest_file SET position = '50'"))
    with pytest.raises(LiberError, match=r"offset 50 is to be read next, but the partition holds 0 to 9"):
        drained(engine, settings, limited)


def test_entries_that_redis_trimmed_or_deleted_unread_are_counted_and_skipped_only_on_request(
    engine, settings, redis_server
) -> None:
    feed = redis_server.feed()
    feed.send(numbered(0, 10))
    drained(engine, settings, feed)
    feed.client.xtrim(feed.key, maxlen=2, approximate=False)
    feed.send(numbered(10, 20))
    drained(engine, settings, feed)  # what was trimmed had been read

    feed.send(numbered(20, 30))
    feed.client.xtrim(feed.key, maxlen=7, approximate=False)
    with pytest.raises(LiberError, match=r"3 messages after \d+-\d+ were trimmed .*--skip-lost"):
        drained(engine, settings, feed)
    assert drained(engine, settings, feed, skip_lost=True).accepted == 7
    assert drained(engine, settings, feed).rows_read == 0

    feed.send(numbered(30, 40))
    for entry, _ in feed.client.xrevrange(feed.key, count=4)[2:]:
        feed.client.xdel(feed.key, entry)
    with pytest.raises(LiberError, match="2 messages after"):
        drained(engine, settings, feed)
    assert drained(engine, settings, feed, skip_lost=True).accepted == 8
    assert stored(engine) == [*range(20), *range(23, 36), 38, 39]


@pytest.mark.parametrize("again", [0, 5, 10, 50])
def test_a_redis_stream_made_anew_is_refused_until_told_to_go_on(engine, settings, redis_server, again: int) -> None:
    feed = redis_server.feed()
    feed.send(numbered(0, 10))
    drained(engine, settings, feed)
    feed.client.delete(feed.key)
    feed.send(numbered(10, 10 + again))
    with pytest.raises(LiberError, match="the stream was deleted"):
        drained(engine, settings, feed)
    if again:
        assert drained(engine, settings, feed, skip_lost=True).accepted == again
        assert drained(engine, settings, feed).rows_read == 0


def test_what_another_consumer_has_read_is_not_lost(engine, settings, redis_server) -> None:
    feed = redis_server.feed()
    feed.send(numbered(0, 30))
    once = threading.Event()

    def overtake(*_: object) -> None:
        if not once.is_set():
            once.set()
            drained(engine, settings, feed)
            feed.client.xtrim(feed.key, maxlen=0, approximate=False)
            feed.send(numbered(30, 35))

    assert drained(engine, settings, feed, batch=10, progress=overtake).rows_read == 15
    assert counts(engine) == (35, 35, 0, 0)
