"""Brokers for the tests of the stream consumer."""

from collections.abc import Iterator

import pytest

from liber_tasks.behavior.brokers import kafka as kafka_client
from tests.behavior.brokers import SECRET, KafkaServer, RedisServer


@pytest.fixture(scope="session", params=["kafka", "redis"])
def broker(request, tmp_path_factory) -> Iterator[KafkaServer | RedisServer]:
    """Each real broker in turn."""
    server = {"kafka": KafkaServer, "redis": RedisServer}[request.param](tmp_path_factory.mktemp("broker"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory) -> Iterator[KafkaServer]:
    """Kafka only."""
    server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(tmp_path) -> Iterator[RedisServer]:
    """A server of the test's own, with a password; it may be stopped."""
    server = RedisServer(tmp_path, SECRET)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker on this machine answers at once, or is away."""
    monkeypatch.setattr(kafka_client, "ASK", 0.5)
    monkeypatch.setattr(kafka_client, "CLOSE", 0.5)
