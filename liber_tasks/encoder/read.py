"""Reading stored vectors r_j in bulk: one binary COPY, no Python object a row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, Engine

from liber_tasks.binary_copy import EPOCH_2000, copy_columns
from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError


@dataclass(frozen=True)
class PartitionVectors:
    """Vectors of some users, ordered by user as asked for and then by partition.

    Attributes:
        user_row: int64 (n,), the place, from 0, of the row's user among those asked for.
        partition_no: int32 (n,), j of P_j.
        sealed_at: datetime64[us] (n,), event time in UTC at which the partition was closed.
        vectors: float32 (n, d).
    """

    user_row: np.ndarray
    partition_no: np.ndarray
    sealed_at: np.ndarray
    vectors: np.ndarray


def partition_vectors(
    engine: Engine, user_ids: Sequence[str], encoder_version: str, knowledge_version: str
) -> PartitionVectors:
    """All partition vectors of a set of users, of one encoder and one knowledge version.

    A user who is unknown or has no vector has no row.

    Args:
        engine: LIBER database; a read-only role is enough. An engine that keeps its connections saves 5-10 ms a call.
        user_ids: external ids.
        encoder_version: of the vectors.
        knowledge_version: of the texts they were made from.

    Raises:
        InputError: there is no such encoder.
        ServiceUnavailable: the database cannot be reached.
    """
    with database_errors(), engine.connect() as connection:
        found = copy_columns(
            connection, "encoder/copy_user_vectors",
            {"user_row": ">i8", "user_key": ">i8", "partition_no": ">i4",
             "vector": f"vector{dimension(connection, encoder_version)}"},
            {"user_ids": _array(user_ids), "encoder_version": encoder_version, "knowledge_version": knowledge_version},
        )  # fmt: skip
        # a join in the database would look up every row by itself
        sealed = copy_columns(
            connection, "encoder/copy_seal_times", {"user_key": ">i8", "partition_no": ">i4", "sealed_at": ">i8"},
            {"user_keys": _array([str(key) for key in np.unique(found["user_key"]).tolist()])},
        )  # fmt: skip
    by_partition = np.lexsort((sealed["partition_no"], sealed["user_key"]))
    keys = _key(sealed["user_key"], sealed["partition_no"])[by_partition]
    wanted = _key(found["user_key"], found["partition_no"])
    at = np.searchsorted(keys, wanted)
    known = np.isin(wanted, keys)  # but for partitions erased in between
    rows = np.flatnonzero(known)
    rows = rows[np.lexsort((found["partition_no"][rows], found["user_row"][rows]))]
    sealed_at = sealed["sealed_at"][by_partition][at[rows]] + EPOCH_2000
    return PartitionVectors(
        found["user_row"][rows], found["partition_no"][rows], sealed_at.astype("datetime64[us]"), found["vector"][rows]
    )


def _key(user_key: np.ndarray, partition_no: np.ndarray) -> np.ndarray:
    """One number a partition, in the order of user and partition."""
    return user_key * 2**31 + partition_no


def _array(values: Sequence[str]) -> str:
    """An array as PostgreSQL writes it: quicker to read than an expression of as many constants."""
    return "{" + ",".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values) + "}"


def dimension(connection: Connection, encoder_version: str) -> int:
    """Length of an encoder's vectors.

    Raises:
        InputError: there is no such encoder.
    """
    found = connection.execute(query("encoder/dimension"), {"encoder_version": encoder_version}).scalar_one_or_none()
    if found is None:
        raise InputError(f"There is no encoder version {encoder_version!r}: run `liber encode`, or check the name.")
    return int(found)


def largest_versions(
    engine: Engine, encoder_version: str | None = None, knowledge_version: str | None = None
) -> tuple[str, str] | None:
    """Encoder and knowledge version with the most vectors, among those with the versions given; of equals, the newest.

    Returns:
        Both versions; None where there is no vector of the versions given.

    Raises:
        ServiceUnavailable: the database cannot be reached.
    """
    asked = {"encoder_version": encoder_version, "knowledge_version": knowledge_version}
    with database_errors(), engine.connect() as connection:
        row = connection.execute(query("encoder/largest_versions"), asked).one_or_none()
    return None if row is None else (row.encoder_version, row.knowledge_version)
