"""Users with similar interests: by cosine between partition vectors, through an HNSW index where there is one.

A user is looked for by the vector of the latest partition, what this user is interested in now. Another user is as near
as the nearest of all of that user's partitions: whoever had this interest at some time is found, and the text of that
very partition says why. (A mean over partitions would blur a life of several interests into one that nobody has.)
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import AsIs
from sqlalchemy import Connection, Engine

from liber_tasks.db import database_errors, query
from liber_tasks.encoder.read import dimension
from liber_tasks.errors import InputError, LiberError

FETCHED_A_USER = 20  # partitions fetched for each user wanted: a user's own lie close, and a wide search misses little
MAX_BREADTH = 1000  # pgvector's bound on hnsw.ef_search
MAX_INDEXED = 2000  # pgvector's bound on the length of a vector in an HNSW index


@dataclass(frozen=True)
class Neighbour:
    """Another user.

    Attributes:
        user_id: external id.
        similarity: cosine of the two partitions' vectors, -1 to 1.
        partition_no: the user's partition that lies nearest.
        summary: what was learnt about that partition; None where the text is gone.
    """

    user_id: str
    similarity: float
    partition_no: int
    summary: str | None


@dataclass(frozen=True)
class Nearest:
    """Whom one call found, nearest first.

    Attributes:
        user_id: asked about.
        partition_no: the latest partition with a vector, which was compared.
        encoder_version, knowledge_version: of all vectors and texts compared.
        neighbours: nearest first; of equals, the user known for longer first.
    """

    user_id: str
    partition_no: int
    encoder_version: str
    knowledge_version: str
    neighbours: tuple[Neighbour, ...]


def nearest_users(
    engine: Engine, user_id: str, encoder_version: str, knowledge_version: str, k: int = 10, *, exact: bool = False
) -> Nearest:
    """The k users whose interests at some time were nearest to this user's now.

    Args:
        engine: LIBER database; a read-only role is enough.
        user_id: external id.
        encoder_version, knowledge_version: whose vectors are compared, no others.
        k: users wanted, at least 1; fewer are returned where fewer have vectors.
        exact: look at every vector, whether there is an index or not. An index may miss a few of the nearest.

    Raises:
        InputError: there is no such user or encoder, or k is below 1.
        LiberError: the user has no vector of these versions, or one of zeros, which has no direction.
        ServiceUnavailable: the database cannot be reached.
    """
    if k < 1:
        raise InputError(f"k is {k}: ask for at least one user.")
    versions = {"encoder_version": encoder_version, "knowledge_version": knowledge_version}
    with database_errors(), engine.connect() as connection:
        parameters: dict[str, Any] = versions | _kind(connection, encoder_version)
        own = connection.execute(query("encoder/latest_vector"), versions | {"user_id": user_id}).one_or_none()
        if own is None:
            raise InputError(f"There is no user {user_id!r}: check the id, or ingest the user's behaviours first.")
        if own.vector is None:
            raise LiberError(
                f"User {user_id!r} has no vector of encoder {encoder_version} and knowledge {knowledge_version}: "
                "run `liber learn` and `liber encode`, or choose other versions."
            )
        if not any(map(float, own.vector.strip("[]").split(","))):
            raise LiberError(f"The latest vector of user {user_id!r} is all zeros, which is near to nothing.")
        parameters |= {"nearest_to": own.vector, "user_key": own.user_key}
        found = [] if exact else _by_index(connection, parameters, k)
        if len(found) < k:
            found = _exactly(connection, parameters, k)
        wanted = {"user_keys": [row.user_key for row in found], "partition_nos": [row.partition_no for row in found]}
        texts = {row.user_key: row for row in connection.execute(query("encoder/nearest_texts"), wanted | versions)}
    neighbours = tuple(
        Neighbour(texts[row.user_key].user_id, float(row.similarity), row.partition_no, texts[row.user_key].summary)
        for row in found
        if row.user_key in texts
    )
    return Nearest(user_id, own.partition_no, encoder_version, knowledge_version, neighbours)


def make_index(engine: Engine, encoder_version: str, knowledge_version: str) -> bool:
    """Make the HNSW index of the vectors of two versions, while others read and write.

    Vectors of all versions and lengths share a column, so each pair of versions needs an index of its own; a new
    pair has none until this is called. What an interrupted call left behind is removed and made anew.

    Args:
        engine: LIBER database, with the role that owns the tables.
        encoder_version, knowledge_version: of the vectors.

    Returns:
        Whether it was made now; False: it was there.

    Raises:
        InputError: there is no such encoder, or its vectors are too long for an index.
        LiberError: another process is making this index.
        ServiceUnavailable: the database cannot be reached.
    """
    with database_errors(), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        kind = _kind(connection, encoder_version)
        length = dimension(connection, encoder_version)
        if length > MAX_INDEXED:
            raise InputError(f"Vectors of {length} numbers have no HNSW index: {MAX_INDEXED} is the most.")
        name = {"index_name": index_name(encoder_version, knowledge_version)}
        if not connection.execute(query("encoder/nearest_index_lock"), name).scalar_one():
            raise LiberError("Another process is making this index: wait for it, or go on without.")
        valid = connection.execute(query("encoder/nearest_index"), name).scalar_one_or_none()
        if valid:
            return False
        identifier = {"index_name": AsIs(name["index_name"])}
        connection.execute(query("encoder/nearest_index_drop"), identifier)
        versions = {"encoder_version": encoder_version, "knowledge_version": knowledge_version}
        connection.execute(query("encoder/nearest_index_memory"), versions | {"dimension": length})
        connection.execute(query("encoder/nearest_index_create"), versions | identifier | kind)
        return True  # closing the connection gives the lock back


def index_name(encoder_version: str, knowledge_version: str) -> str:
    """Name of the index: letters, digits and underscores, so that it needs no quoting."""
    digest = hashlib.sha256("\0".join((encoder_version, knowledge_version)).encode()).hexdigest()
    return f"interest_nearest_{digest[:16]}"


def _kind(connection: Connection, encoder_version: str) -> dict[str, Any]:
    """The vectors' type in SQL, which an index and a query that shall use it must both spell out."""
    return {"vector_type": AsIs(f"vector({dimension(connection, encoder_version)})")}


def _by_index(connection: Connection, parameters: dict[str, Any], k: int) -> list[Any]:
    """The k nearest users as a search of growing breadth finds them; fewer when they are not among the first."""
    breadth = min(MAX_BREADTH, k * FETCHED_A_USER)
    while True:
        connection.execute(query("encoder/nearest_breadth"), {"breadth": max(40, breadth)})
        found = _users(connection, parameters, k, breadth)
        if len(found) == k or breadth == MAX_BREADTH:
            return found
        breadth = min(MAX_BREADTH, breadth * 4)


def _exactly(connection: Connection, parameters: dict[str, Any], k: int) -> list[Any]:
    """The k nearest users of all."""
    connection.execute(query("encoder/nearest_exact"))
    fetched = k * FETCHED_A_USER
    while True:
        partitions = connection.execute(query("encoder/nearest_partitions"), parameters | {"fetched": fetched}).all()
        found = _distinct(partitions, k)
        if len(found) == k or len(partitions) < fetched:
            return found
        fetched *= 4


def _users(connection: Connection, parameters: dict[str, Any], k: int, fetched: int) -> list[Any]:
    rows = connection.execute(query("encoder/nearest_partitions"), parameters | {"fetched": fetched}).all()
    return _distinct(rows, k)


def _distinct(partitions: Any, k: int) -> list[Any]:
    """The nearest partition of each of the k nearest users. Partitions of zeros, at no distance (NaN), are left out."""
    order = sorted(
        (row for row in partitions if row.similarity == row.similarity),
        key=lambda row: (-row.similarity, row.user_key, row.partition_no),
    )
    nearest: dict[int, Any] = {}
    for row in order:
        nearest.setdefault(row.user_key, row)
    return list(nearest.values())[:k]
