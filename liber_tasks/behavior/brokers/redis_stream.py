"""A Redis stream as a stream of messages: read by entry id, without a consumer group. Needs Redis 7 or Valkey.

A position is an entry id and how many entries had ever been added up to it. Redis counts the entries it was ever
given, so that trimmed or deleted ones are noticed: added = read + still to read, unless some are gone.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from liber_tasks.behavior.brokers.streams import GATHER_BYTES, PAGE, Address, Away, Lost, Message, Reading
from liber_tasks.errors import InputError, LiberError

BLOCK = 5.0  # seconds one waiting read may take; the socket's own limit is longer
START = "0-0"
_Fields = dict[bytes, bytes]


class RedisStream:
    """Client of one stream; see `streams.Topic`."""

    def __init__(self, address: Address) -> None:
        """Make the client; it connects by itself.

        Args:
            address: redis://[user:password@]host[:port]/database/key[?option=value&...], rediss:// for TLS, with
                options of redis-py.

        Raises:
            InputError: database or key is missing, or an option is unknown.
        """
        database, _, self._key = address.path.partition("/")
        if not database.isdecimal() or not self._key:
            raise InputError("A Redis stream's address ends in database and key: redis://host:6379/0/key.")
        host = address.hosts if address.hosts.rpartition(":")[2].isdecimal() else f"{address.hosts}:6379"
        self.name = f"redis://{host}/{database}/{self._key}"
        self._id = START
        self._added: int | None = None  # entries ever added up to `_id`; None: not known yet
        self._missing = 0  # entries that the last Lost was about; -1: all, the stream was made anew
        try:
            self._client = redis.Redis.from_url(
                f"{address.scheme}://{host}/{database}?{address.query}",
                username=address.user, password=address.password, decode_responses=False,
                socket_connect_timeout=5, socket_timeout=3 * BLOCK, retry=Retry(NoBackoff(), 0),
            )  # fmt: skip
        except ValueError as error:
            raise InputError(f"{self.name}: the Redis client does not take this: {error}.") from None

    def streams(self) -> Mapping[str, str]:
        """The one stream."""
        return {self.name: self.name}

    def go(self, stream: str, position: str | None) -> None:
        """See `streams.Topic.go`; what is gone is found by `read`."""
        if position is None:
            self._id, self._added = START, None
        else:
            self._id, _, added = position.partition(" ")
            self._added = int(added)

    def skip(self, stream: str) -> None:
        """See `streams.Topic.skip`."""
        if self._missing < 0:
            self._id, self._added = START, None
        else:
            self._added = (self._added or 0) + self._missing

    def read(self, limit: int, wait: float) -> Reading:
        """See `streams.Topic.read`."""
        messages: list[Message] = []
        size = 0
        deadline = time.monotonic() + wait
        while len(messages) < limit and size < GATHER_BYTES:
            try:
                page = self._page(min(PAGE, limit - len(messages)))
                left = deadline - time.monotonic()
                if not page and left > 0:
                    self._wait(left)
            except (Lost, Away):
                if not messages:
                    raise
                break  # the next reading meets it again
            messages += page
            size += sum(len(message.value or b"") for message in page)
            if not page and left <= 0:
                break
        return Reading({self.name: messages} if messages else {}, at_end=not messages)

    def tell(self, positions: Mapping[str, str]) -> None:
        """Redis keeps no position of ours."""

    def close(self) -> None:
        """Let go of the server."""
        self._client.close()

    def _page(self, count: int) -> list[Message]:
        """Up to `count` entries after the position, together with the count of those added: one moment for both."""
        pipeline = self._client.pipeline(transaction=True)
        pipeline.xinfo_stream(self._key)
        pipeline.xrange(self._key, min=f"({self._id}", count=count)
        info, entries = self._ask(lambda: pipeline.execute(raise_on_error=False))
        self._check(info, len(entries) if isinstance(entries, list) else 0, count)
        messages = []
        for entry_id, fields in entries:
            self._id, self._added = entry_id.decode(), (self._added or 0) + 1
            messages.append(_message(fields, f"{self._id} {self._added}"))
        return messages

    def _check(self, info: Any, found: int, count: int) -> None:
        """Compare what was added with what was read and what is there.

        Raises:
            Lost: entries after the position are gone.
            InputError: there is no such stream, or the server is too old to count.
        """
        if isinstance(info, Exception):
            if "no such key" in str(info) and self._added is not None:
                self._missing = -1
                raise Lost(self.name, f"the stream was deleted after {self._added} messages of it were read") from None
            raise self._failure(info) from None
        if "entries-added" not in info:
            raise InputError(f"{self.name}: this server does not count entries; Redis 7 or Valkey is needed.")
        added, length, first = info["entries-added"], info["length"], info["first-entry"]
        if self._added is None:
            self._added = added - length
        untouched = first is not None and _number(first[0]) <= _number(self._id)
        if _number(info["last-generated-id"]) < _number(self._id) or added < self._added:
            missing = -1
        elif not untouched:  # everything there is comes after the position
            missing = added - length - self._added
        elif found < count:  # everything after the position was found
            missing = added - found - self._added
        else:
            return
        if missing < 0:
            self._missing = -1
            raise Lost(self.name, f"the stream was deleted and made anew after {self._added} messages were read")
        if missing:
            self._missing = missing
            raise Lost(self.name, f"{missing} messages after {self._id} were trimmed or deleted before they were read")

    def _wait(self, seconds: float) -> None:
        """Until there is something after the position, or time is up."""
        block = max(1, int(1000 * min(seconds, BLOCK)))
        self._ask(lambda: self._client.xread({self._key: self._id}, count=1, block=block))

    def _ask(self, question: Any) -> Any:
        try:
            return question()
        except redis.RedisError as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> Exception:
        said = str(error).rstrip(".") or type(error).__name__
        if isinstance(error, redis.AuthenticationError | redis.exceptions.NoPermissionError):
            return InputError(f"{self.name}: the server refuses: {said}; check user, password and rights.")
        if isinstance(error, redis.ConnectionError | redis.TimeoutError):  # also a server that is still loading
            return Away(said)
        if "no such key" in said:
            return InputError(f"{self.name}: there is no such stream; check the key, or add the first message.")
        if "WRONGTYPE" in said or "wrong kind" in said:
            return InputError(f"{self.name}: this key holds no stream; check it.")
        return LiberError(f"{self.name}: the server says: {said}.")


def _message(fields: _Fields, after: str) -> Message:
    """An entry's only field, whatever its name, holds the row."""
    if len(fields) == 1:
        return Message(next(iter(fields.values())), after)
    texts = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields.items()}
    raw = json.dumps(texts, ensure_ascii=False).encode()
    return Message(raw, after, wrong="the entry has more than the one field that holds the row")


def _number(entry_id: bytes | str) -> tuple[int, int]:
    text = entry_id.decode() if isinstance(entry_id, bytes) else entry_id
    time_part, _, sequence = text.partition("-")
    return int(time_part), int(sequence or 0)
