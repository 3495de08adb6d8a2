"""Pasts of users from the LIBER database: pooled, one look-up a request, the present cached. Travels with the model.

It imports neither settings nor the rest of the package: a service has the model, a DSN and nothing else.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from cachetools import TTLCache
from sqlalchemy import Engine, TextClause, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from liber_tasks.errors import InputError, LiberError, ServiceUnavailable
from liber_tasks.features.responses import responses
from liber_tasks.fusion.model import ModelConfig
from liber_tasks.serving.catalogue import Catalogue, Versions
from liber_tasks.serving.past import NEW_USER, UserPast, behaviors_read, nothing, reads_partitions

DSN = ("LIBER_READER_DATABASE_URL", "LIBER_DATABASE_URL")  # the first that is set
NUMBERS = {  # name: default, least, meaning
    "LIBER_SERVING_CONNECTIONS": (5, 1, "connections a process keeps"),
    "LIBER_SERVING_CACHE_USERS": (10_000, 0, "users whose present is kept; 0: none"),
    "LIBER_SERVING_CACHE_SECONDS": (30, 0, "how old it may get; 0: nothing is kept"),
}
VERSION_SECONDS = 60  # for so long the database is believed to have vectors of the model's versions
QUERIES = Path(__file__).resolve().parents[2] / "sql" / "queries" / "serving"


class Database:
    """Users and items of a LIBER database, as one model reads them."""

    def __init__(
        self,
        catalogue: Catalogue,
        config: ModelConfig,
        versions: Versions,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reads the environment; connects at the first look-up.

        Args:
            catalogue, config, versions: of the model.
            timer: seconds, by which what is cached grows old.

        Raises:
            InputError: a variable is missing or wrong; names it.
        """
        self._catalogue, self._config, self._versions = catalogue, config, versions
        self._engine = _connect(_dsn(), _number("LIBER_SERVING_CONNECTIONS"))
        size, seconds = _number("LIBER_SERVING_CACHE_USERS"), _number("LIBER_SERVING_CACHE_SECONDS")
        self._present: TTLCache[str, UserPast] = TTLCache(max(size, 1), seconds if size else 0, timer)
        self._new_items: TTLCache[str, tuple[Any, Any] | None] = TTLCache(max(size, 1), seconds if size else 0, timer)
        self._version_seen: TTLCache[str, bool] = TTLCache(1, VERSION_SECONDS, timer)
        self._lock = Lock()

    def users(self, asked: Sequence[tuple[str, datetime | None]]) -> list[UserPast]:
        """The past of each (user id, moment), one statement for all that are not cached.

        Args:
            asked: distinct pairs; moment None: the present, which may be as old as the cache allows.

        Raises:
            LiberError: the database has no vector of the model's versions, or no LIBER schema.
            ServiceUnavailable: it does not answer, or has no free connection.
        """
        with self._lock:
            kept = {pair: self._present.get(pair[0]) for pair in asked if pair[1] is None}
        found = {pair: past for pair, past in kept.items() if past is not None}
        missing = [pair for pair in asked if pair not in found]
        if missing:
            found |= dict(zip(missing, self._read(missing), strict=True))
            with self._lock:
                self._present.update({user: found[user, at] for user, at in missing if at is None})
        return [found[pair] for pair in asked]

    def items(self, item_ids: Sequence[str]) -> dict[str, tuple[Any, Any]]:
        """(genres, year) of the items that are stored, one statement for all that are not cached."""
        with self._lock:
            found = {item: self._new_items[item] for item in item_ids if item in self._new_items}
        missing = [item for item in item_ids if item not in found]
        if missing:
            with _clear_errors(), self._engine.connect() as connection:
                rows = connection.execute(query("items"), {"item_ids": missing}).all()
            found |= dict.fromkeys(missing) | {row.item_id: (row.genres, row.year) for row in rows}
            with self._lock:
                self._new_items.update({item: found[item] for item in missing})
        return {item: attributes for item, attributes in found.items() if attributes is not None}

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def _read(self, asked: Sequence[tuple[str, datetime | None]]) -> list[UserPast]:
        config, now = self._config, datetime.now(UTC)
        parameters = {
            "user_ids": [user for user, _ in asked],
            "moments": [at or now for _, at in asked],
            "encoder_version": self._versions.encoder_version,
            "knowledge_version": self._versions.knowledge_version,
            "feedback": config.feedback,
            "max_history": behaviors_read(config),
            "max_vectors": config.max_partitions if config.reads_vectors else 0,
            "max_partitions": config.max_partitions if reads_partitions(config) else 0,
        }
        with _clear_errors(), self._engine.connect() as connection:
            rows = connection.execute(query("users"), parameters).all()
            if config.reads_vectors and not any(row.vectors for row in rows):
                self._check_version(connection)
        found = {int(row.number): row for row in rows}
        return [self._past(user, found.get(number)) for number, (user, _) in enumerate(asked, 1)]

    def _check_version(self, connection: Any) -> None:
        """No user of the request has a vector: because they are new, or because none is of the model's versions?"""
        with self._lock:
            if "seen" in self._version_seen:
                return
        encoder, knowledge = self._versions.encoder_version, self._versions.knowledge_version
        names = {"encoder_version": encoder, "knowledge_version": knowledge}
        if not connection.execute(query("has_vectors"), names).scalar_one():
            raise LiberError(
                f"The database has no interest vector of encoder {encoder} and knowledge {knowledge}, which this model "
                "was trained on: make them with `liber encode`, point the DSN at the database that has them, or load a "
                "model trained on the versions that are there. Vectors of other versions are not read."
            )
        with self._lock:
            self._version_seen["seen"] = True

    def _past(self, user: str, row: Any) -> UserPast:
        size = self._config.vector_size
        if row is None:
            return nothing(NEW_USER, size)
        ages = np.array(row.partition_ages or [], dtype=np.int64)  # the latest partition has 1
        return UserPast(
            user=tuple(self._catalogue.vocabulary.user_row(user, row.age, row.gender, row.occupation)),
            known=True,
            item=self._catalogue.rows(row.item_ids or []),
            response=responses(np.array(row.ratings or [], dtype=np.float64)),
            vectors=_vectors(row.vectors, size),
            partitions=int(ages.max(initial=0)),
            partition_item=self._catalogue.rows(row.partition_item_ids or []),
            partition_response=responses(np.array(row.partition_ratings or [], dtype=np.float64)),
            partition=ages.max(initial=0) - ages,
        )


@cache
def query(name: str) -> TextClause:
    """The statement in `sql/queries/serving/<name>.sql`, in the repository or beside the model's code."""
    return text((QUERIES / f"{name}.sql").read_text(encoding="utf-8"))


def _vectors(stored: memoryview | bytes | None, size: int) -> np.ndarray:
    """(V, size) float32 from pgvector's binary form: length and a reserved number before each vector."""
    layout = np.dtype([("length", ">i2"), ("reserved", ">i2"), ("vector", ">f4", (size,))])
    return np.frombuffer(stored or b"", dtype=layout)["vector"].astype(np.float32)


def _dsn() -> str:
    for name in DSN:
        if os.environ.get(name):
            return os.environ[name]
    raise InputError(
        f"{DSN[0]} is not set, and neither is {DSN[1]}: this model reads its features from the LIBER database. Set it "
        "to postgresql://user:password@host:port/database, give history_item_ids with each row, or load a model "
        "registered with its features (tag liber.features = bundle)."
    )


def _number(name: str) -> int:
    default, least, meaning = NUMBERS[name]
    given = os.environ.get(name) or str(default)
    if not given.isdecimal() or int(given) < least:
        raise InputError(f"{name} is {given!r}: write a whole number from {least} on ({meaning}).")
    return int(given)


def _connect(url: str, connections: int) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InputError(f"{DSN[0]} is not a URL: write postgresql://user:password@host:port/database.") from None
    if not parsed.drivername.startswith("postgres"):
        raise InputError(f"{DSN[0]} starts with {parsed.drivername!r}: only postgresql:// is supported.")
    return create_engine(
        parsed.set(drivername="postgresql+psycopg2"),
        isolation_level="AUTOCOMMIT",  # a look-up is one statement: no round trips for BEGIN and ROLLBACK
        pool_size=connections,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=True,  # a server that was restarted costs a reconnect, not a failed request
        connect_args={"connect_timeout": 10},
    )


@contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise ServiceUnavailable(
            "All connections were busy for 10 s: raise LIBER_SERVING_CONNECTIONS or start more processes."
        ) from error
    except DBAPIError as error:
        if isinstance(error, OperationalError) or error.connection_invalidated:
            reason = (str(error.orig).strip() or "the connection broke").splitlines()[0]
            raise ServiceUnavailable(
                f"PostgreSQL cannot do this: {reason}. Check {DSN[0]} and the server; the request can be repeated."
            ) from error
        if getattr(error.orig, "pgcode", None) in ("42P01", "3F000"):
            raise LiberError(f"The database of {DSN[0]} has no LIBER schema: run `liber init-db` there.") from error
        if getattr(error.orig, "pgcode", None) == "42883":
            raise LiberError(
                f"The database of {DSN[0]} lacks a function that this model reads by: run the `liber init-db` of its "
                "release there."
            ) from error
        if getattr(error.orig, "pgcode", None) == "42501":
            raise LiberError(
                f"The role in {DSN[0]} may not read: grant it what liber_reader has (infra/roles.sql)."
            ) from error
        raise
