"""A Kafka-compatible topic as streams of messages: one stream a partition, read by offset without a consumer group.

The group is only told how far the database is, so that the usual tools show the lag.
"""

import re
import threading
import time
from collections.abc import Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka import Message as KafkaMessage
from confluent_kafka.admin import AdminClient

from liber_tasks.behavior.brokers.streams import GATHER_BYTES, PAGE, Address, Away, Lost, Message, Reading
from liber_tasks.errors import InputError, LiberError

ASK = 5.0  # seconds a question about the topic may take
CLOSE = 2.0  # seconds the last commit to the group may take
_OURS = {  # the position lies in the database, and the client must never choose one by itself
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "auto.offset.reset": "error",
    "enable.partition.eof": "true",
}
SILENT = 3  # a broker that answers, but so often in a row not this, is an old one or has no controller to ask
_NO_ID = "A" * 22  # a broker that gives topics no id


@dataclass(frozen=True)
class _At:
    """Where a partition is read next."""

    offset: int
    topic_id: str  # of the topic that the offset is from; empty: the broker does not say

    def __str__(self) -> str:
        return f"{self.offset} {self.topic_id}".strip()


class KafkaTopic:
    """Client of one topic; see `streams.Topic`."""

    def __init__(self, address: Address) -> None:
        """Make the clients; they connect by themselves.

        Args:
            address: kafka://[user:password@]hosts/topic[?option=value&...] with options of librdkafka.

        Raises:
            InputError: the topic's name cannot be one, or an option is unknown or ours to set.
        """
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", address.path):
            raise InputError(f"{address.path!r} is no name of a Kafka topic: letters, digits, dot, _ and - only.")
        self._topic = address.path
        self.name = f"kafka://{address.hosts}/{address.path}"
        self._said = ""  # the clients' last word on why they cannot connect
        self._refused = ""  # why the broker will not have us
        self._cluster = ""
        self._topic_id = ""
        self._silences = 0  # how often it was asked in vain for the topic's id
        self._at: dict[int, _At] = {}
        self._ended: set[int] = set()
        self._assigned = False
        self._pending: Exception | None = None
        options = {"group.id": "liber", **_options(address), "log_level": "2", "error_cb": self._hear}
        try:
            self._consumer = Consumer({**options, **_OURS})
            self._admin = AdminClient(options)
        except (KafkaException, ValueError, TypeError) as error:
            reason = error.args[0].str() if isinstance(error, KafkaException) else error
            raise InputError(f"{self.name}: the Kafka client does not take this: {reason}.") from None

    def streams(self) -> Mapping[str, str]:
        """Partitions there are now; new ones appear here.

        Raises:
            Away: the broker did not answer.
            InputError: there is no such topic, or the broker refuses us.
            Lost: the topic was deleted and made anew since it was last read.
        """
        try:
            answer = self._consumer.list_topics(self._topic, timeout=ASK)
        except KafkaException as error:
            raise self._failure(error.args[0]) from error
        topic = answer.topics[self._topic]
        if topic.error is not None:
            raise self._failure(topic.error)
        self._cluster = answer.cluster_id or ""
        self._topic_id = self._ask_topic_id()
        for partition in self._at:
            self._check_topic(partition)
        root = f"kafka://{self._cluster or self.name}/{self._topic}"
        return {self._stream(number): f"{root}/{number}" for number in sorted(topic.partitions)}

    def go(self, stream: str, position: str | None) -> None:
        """See `streams.Topic.go`."""
        partition = self._partition(stream)
        if position is None:
            self._at[partition] = _At(OFFSET_BEGINNING, self._topic_id)
        else:
            offset, _, topic_id = position.partition(" ")
            self._at[partition] = _At(int(offset), topic_id or self._topic_id)
            self._check_topic(partition)
            low, _ = self._ends(partition)
            if low > int(offset):
                raise self._lost(partition)
        self._assigned = False
        self._pending = None

    def skip(self, stream: str) -> None:
        """See `streams.Topic.skip`."""
        self._at[self._partition(stream)] = _At(OFFSET_BEGINNING, self._topic_id)
        self._assigned = False
        self._pending = None

    def read(self, limit: int, wait: float) -> Reading:
        """See `streams.Topic.read`."""
        if self._pending:
            raise self._pending
        if not self._assigned:
            self._consumer.assign([TopicPartition(self._topic, p, at.offset) for p, at in self._at.items()])
            self._ended.clear()
            self._assigned = True
        gathered: dict[str, list[Message]] = {}
        count = size = 0
        deadline = time.monotonic() + wait
        while count < limit and size < GATHER_BYTES:
            left = deadline - time.monotonic()
            page = self._consumer.consume(min(PAGE, limit - count), timeout=max(0.0, left))
            for entry in page:
                partition = int(entry.partition() or 0)
                if error := entry.error():
                    self._event(error, partition)
                elif message := self._message(entry, partition):
                    gathered.setdefault(self._stream(partition), []).append(message)
                    count += 1
                    size += len(message.value or b"")
            if self._pending or (not page and left <= 0):
                break
        if self._pending and not gathered:
            raise self._pending
        return Reading(gathered, at_end=not gathered and self._ended >= set(self._at))

    def tell(self, positions: Mapping[str, str]) -> None:
        """Commit what is stored to the group, for monitoring; nothing here reads it."""
        offsets = [
            TopicPartition(self._topic, self._partition(stream), int(position.partition(" ")[0]))
            for stream, position in positions.items()
        ]
        with suppress(KafkaException):
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def close(self) -> None:
        """Let go of the broker. The client waits without end to commit to one that is away: we do not."""
        closing = threading.Thread(target=self._consumer.close, daemon=True)
        closing.start()
        closing.join(CLOSE)

    def _message(self, entry: KafkaMessage, partition: int) -> Message | None:
        """A message, or None for one from before the last `go`."""
        offset = int(entry.offset() or 0)
        at = self._at.get(partition)
        if at is None or offset < at.offset:
            return None
        self._ended.discard(partition)
        self._at[partition] = after = _At(offset + 1, at.topic_id)
        return Message(entry.value(), str(after))

    def _event(self, error: KafkaError, partition: int) -> None:
        """What the client says in place of a message; trouble waits until the messages before it are handed out."""
        if error.code() == KafkaError._PARTITION_EOF:
            self._ended.add(partition)
        elif error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self._pending = self._lost(partition)
        elif not isinstance(failure := self._failure(error), Away):  # the next question finds a broker that is away
            self._pending = failure

    def _ask_topic_id(self) -> str:
        """What tells the topic from an earlier one of its name; empty where the broker cannot say."""
        if self._silences >= SILENT:
            return ""
        try:
            asked = self._admin.describe_topics(TopicCollection([self._topic]), request_timeout=ASK)
            topic_id = str(asked[self._topic].result(2 * ASK).topic_id)
        except (KafkaException, FutureTimeout) as error:
            self._silences += 1
            raise Away(self._said or str(error)) from error
        self._silences = SILENT if topic_id == _NO_ID else 0
        return "" if topic_id == _NO_ID else topic_id

    def _check_topic(self, partition: int) -> None:
        at = self._at[partition]
        if at.topic_id and self._topic_id and at.topic_id != self._topic_id:
            what = f"the topic was deleted and made anew since it was read up to offset {at.offset}"
            raise Lost(self._stream(partition), what)

    def _lost(self, partition: int) -> Exception:
        offset = self._at[partition].offset
        try:
            low, high = self._ends(partition)
        except Away as error:
            return error
        if low > offset >= 0:
            what = f"{low - offset} messages (offsets {offset} to {low - 1}) were deleted before they were read"
        else:
            what = f"offset {offset} is to be read next, but the partition holds {low} to {high - 1}: its log was cut"
        return Lost(self._stream(partition), what)

    def _ends(self, partition: int) -> tuple[int, int]:
        """First offset kept and the one after the last."""
        try:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=ASK)
        except KafkaException as error:
            raise self._failure(error.args[0]) from error
        return low, high

    def _hear(self, error: KafkaError) -> None:
        self._said = error.str()
        if error.code() in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
            self._refused = error.str()

    def _failure(self, error: KafkaError) -> Exception:
        if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
            return InputError(f"{self.name}: the broker has no such topic; check the name or create it.")
        if self._refused or error.code() in (
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            KafkaError.CLUSTER_AUTHORIZATION_FAILED,
            KafkaError.GROUP_AUTHORIZATION_FAILED,
        ):
            said = self._refused or error.str()
            return InputError(f"{self.name}: the broker refuses: {said}; check user, password and rights.")
        if error.fatal():
            return LiberError(f"{self.name}: the Kafka client gave up: {error.str()}. Run again.")
        return Away(self._said or error.str())

    def _stream(self, partition: int) -> str:
        return f"{self.name}/{partition}"

    @staticmethod
    def _partition(stream: str) -> int:
        return int(stream.rpartition("/")[2])


def _options(address: Address) -> dict[str, Any]:
    """The client's options that an address means."""
    options = dict(parse_qsl(address.query, keep_blank_values=True))
    for name in ("bootstrap.servers", *_OURS):
        if name in options:
            raise InputError(f"The option {name} cannot be chosen in a stream's address: leave it out.")
    if address.user is not None:
        login = {"sasl.username": address.user, "sasl.password": address.password or ""}
        options = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", **login, **options}
    return {"bootstrap.servers": address.hosts, **options}
