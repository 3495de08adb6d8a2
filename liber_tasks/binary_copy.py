"""Tables to and from columns: binary COPY read and written by NumPy, without a Python object a row."""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import numpy as np
from sqlalchemy import Connection

from liber_tasks.db import query

EPOCH_2000 = 946_684_800_000_000  # PostgreSQL's binary timestamps count microseconds from 2000-01-01
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # flags and extension length are zero
_TRAILER = b"\xff\xff"


def microseconds(moment: datetime) -> int:
    """A moment as binary columns hold it: microseconds since 2000-01-01 UTC."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) - EPOCH_2000


def copy_columns(
    connection: Connection, name: str, fields: dict[str, str], parameters: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Run the `COPY (...) TO STDOUT WITH BINARY` in `sql/queries/<name>.sql` and split it into columns.

    Args:
        connection: open connection; the caller decides its isolation.
        name: of the query.
        fields: NumPy type of each column in the order selected: ">i8", ">f4", "?" or, for a pgvector of n numbers,
            f"vector{n}". Every column must be of fixed width and without nulls.
        parameters: of the query.

    Returns:
        Column name to array, (rows,) or (rows, n), in native byte order.
    """
    statement = str(query(name).compile(dialect=connection.dialect))
    cursor = connection.connection.cursor()
    buffer = BytesIO()
    cursor.copy_expert(cursor.mogrify(statement, parameters).decode(), buffer)
    row = _row_type(fields)
    size = buffer.getbuffer().nbytes - len(_SIGNATURE) - len(_TRAILER)
    if size % row.itemsize:
        raise ValueError(f"{name}: {size} bytes are no whole number of rows of {row.itemsize}")
    rows = np.frombuffer(buffer.getbuffer(), dtype=row, offset=len(_SIGNATURE), count=size // row.itemsize)
    return {field: rows[field].astype(rows[field].dtype.newbyteorder("=")) for field in fields}


def write_columns(connection: Connection, name: str, fields: dict[str, str], columns: dict[str, np.ndarray]) -> None:
    """Feed columns to the `COPY ... FROM STDIN WITH BINARY` in `sql/queries/<name>.sql`.

    Args:
        connection: open connection inside a transaction.
        name: of the query.
        fields: NumPy type of each column in the statement's order, as for `copy_columns`.
        columns: arrays of equal length, (rows,) or (rows, n) for a vector.
    """
    row = _row_type(fields)
    rows = np.zeros(len(next(iter(columns.values()))), dtype=row)
    rows["#fields"] = len(fields)
    for field, kind in fields.items():
        rows[field] = columns[field]
        rows[f"#{field}"] = row[field].itemsize
        if kind.startswith("vector"):
            rows[f"##{field}"][:, 0] = row[field].shape[0]
            rows[f"#{field}"] += 4  # the vector's own header: dimension and a reserved number
    payload = BytesIO(_SIGNATURE + rows.tobytes() + _TRAILER)
    connection.connection.cursor().copy_expert(query(name).text, payload)


def _row_type(fields: dict[str, str]) -> np.dtype:
    """Layout of one row of fixed-width, non-null columns in PostgreSQL's binary COPY format."""
    layout: list[Any] = [("#fields", ">i2")]
    for field, kind in fields.items():
        layout.append((f"#{field}", ">i4"))  # byte length of the value
        if kind.startswith("vector"):
            layout += [(f"##{field}", ">i2", 2), (field, ">f4", (int(kind.removeprefix("vector")),))]
        else:
            layout.append((field, kind))
    return np.dtype(layout)
