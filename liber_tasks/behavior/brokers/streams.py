"""Streams as sources of rows: what a message broker must tell the consumer, and which broker a URL means.

One broker client (a Kafka topic, a Redis stream) reads one or several *streams*: a Kafka partition is one, a Redis
stream is one. Inside a stream messages have one order and each has a position to go on from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote, urlsplit

from liber_tasks.errors import InputError

PAGE = 500  # messages asked for at once, so that big ones do not fill the memory
GATHER_BYTES = 32 * 1024 * 1024  # messages of one reading, together; the last page may go beyond
FORMS = "kafka://broker1:9092,broker2:9092/topic, redis://host:6379/0/key or rediss://host:6379/0/key"


@dataclass(frozen=True)
class Message:
    """One message of a stream."""

    value: bytes | None  # None: the broker says that there is none (Kafka's tombstone)
    after: str  # position right after it, in the broker's own form
    wrong: str | None = None  # why it cannot be a row, known already by its outer form


@dataclass(frozen=True)
class Reading:
    """What one reading brought."""

    messages: Mapping[str, Sequence[Message]] = field(default_factory=dict)  # by stream, in the stream's order
    at_end: bool = False  # every stream was seen to have nothing further


class Away(Exception):
    """The broker did not answer; asking again later may help."""


class Lost(Exception):
    """Messages after a position are gone from a stream: the message says how many or which."""

    def __init__(self, stream: str, what: str) -> None:
        super().__init__(what)
        self.stream = stream
        self.what = what


class Topic(Protocol):
    """A client of one topic. Every method may raise Away, InputError or LiberError."""

    name: str  # for people: no credentials in it

    def streams(self) -> Mapping[str, str]:
        """Streams there are now: name for people to a name that stays the same however the broker is reached."""

    def go(self, stream: str, position: str | None) -> None:
        """Read on from a position that this client gave earlier; None: from the oldest message there is.

        Raises:
            Lost: messages after that position are gone.
        """

    def skip(self, stream: str) -> None:
        """After Lost: go on with the oldest message there is."""

    def read(self, limit: int, wait: float) -> Reading:
        """The next messages.

        Args:
            limit: messages of all streams together, at most.
            wait: seconds to gather them, at most.

        Raises:
            Lost: messages that were not read are gone.
        """

    def tell(self, positions: Mapping[str, str]) -> None:
        """Tell the broker how far each stream is stored, for its monitoring only. Never fails."""

    def close(self) -> None:
        """Let go of the broker."""


@dataclass(frozen=True)
class Address:
    """The parts of a stream's URL, decoded."""

    scheme: str
    hosts: str  # host:port, commas between several
    path: str  # without the leading slash
    user: str | None
    password: str | None = field(repr=False)
    query: str = field(repr=False)  # options of the client, as written


def parse(url: str) -> Address:
    """Parts of a URL; the password may be percent-encoded.

    Raises:
        InputError: this is no URL of a stream; never repeats the URL, which may hold a password.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InputError(f"The stream's address is not a URL: write {FORMS}.") from None
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    path = unquote(parts.path.removeprefix("/"))
    if parts.scheme not in ("kafka", "redis", "rediss"):
        raise InputError(f"Streams of the kind {parts.scheme!r} are not known: write {FORMS}.")
    if not hosts or not path or "\0" in path:
        raise InputError(f"The stream's address lacks a host or a name: write {FORMS}.")
    return Address(parts.scheme, hosts, path, unquote(user) or None, unquote(password) or None, parts.query)


def connect(url: str) -> Topic:
    """Client of the topic that a URL means; nothing is read yet.

    Raises:
        InputError: the URL means no stream, or an option in it is unknown.
    """
    address = parse(url)
    if address.scheme == "kafka":
        from liber_tasks.behavior.brokers.kafka import KafkaTopic

        return KafkaTopic(address)
    from liber_tasks.behavior.brokers.redis_stream import RedisStream

    return RedisStream(address)
