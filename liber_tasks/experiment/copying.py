"""Arrow batches into tables of experiments."""

import io
from typing import Any

from sqlalchemy import Connection

from liber_tasks.db import query


def copy(connection: Connection, statement: str, batch: Any) -> None:
    """Send one Arrow record batch by binary COPY, inside the connection's transaction.

    Args:
        connection: open, on psycopg2.
        statement: name of the query, `COPY ... FROM STDIN (FORMAT "binary")`.
        batch: columns in the order of the statement.
    """
    from pgpq import ArrowToPostgresBinaryEncoder

    encoder = ArrowToPostgresBinaryEncoder(batch.schema)
    payload = encoder.write_header() + encoder.write_batch(batch) + encoder.finish()
    connection.connection.cursor().copy_expert(query(statement).text, io.BytesIO(payload))
