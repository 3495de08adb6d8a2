"""Reading tables into columns: binary COPY parsed by NumPy, without a Python object a row."""

from io import BytesIO
from typing import Any

import numpy as np
from sqlalchemy import Connection

from liber_tasks.db import query

EPOCH_2000 = 946_684_800_000_000  # PostgreSQL's binary timestamps count microseconds from 2000-01-01
_HEADER = 19  # signature, flags and extension length of the binary format
_TRAILER = 2


def copy_columns(
    connection: Connection, name: str, fields: dict[str, str], parameters: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Run the `COPY (...) TO STDOUT WITH (FORMAT binary)` in `sql/queries/<name>.sql` and split it into columns.

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
    layout: list[Any] = [("#fields", ">i2")]
    for field, kind in fields.items():
        layout.append((f"#{field}", ">i4"))  # byte length of the value
        if kind.startswith("vector"):
            layout += [(f"##{field}", ">i2", 2), (field, ">f4", int(kind.removeprefix("vector")))]
        else:
            layout.append((field, kind))
    row = np.dtype(layout)
    size = buffer.getbuffer().nbytes - _HEADER - _TRAILER
    if size % row.itemsize:
        raise ValueError(f"{name}: {size} bytes are no whole number of rows of {row.itemsize}")
    rows = np.frombuffer(buffer.getbuffer(), dtype=row, offset=_HEADER, count=size // row.itemsize)
    return {field: rows[field].astype(rows[field].dtype.newbyteorder("=")) for field in fields}
