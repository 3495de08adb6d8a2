"""Arrow batches to PostgreSQL by binary COPY."""

import io

import psycopg2
import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder, encoders, schema
from sqlalchemy import Connection

from liber_tasks.db import query
from liber_tasks.errors import ServiceUnavailable

_JSON = ("context", "attributes")


def copy_batch(connection: Connection, statement: str, batch: pa.RecordBatch) -> None:
    """Send a batch to the `COPY ... FROM STDIN` in `sql/queries/behavior/<statement>.sql`, columns in its order.

    Raises:
        ServiceUnavailable: the database went away or is full.
    """
    if not batch.num_rows:
        return
    builders = {column.name: ArrowToPostgresBinaryEncoder.infer_encoder(column) for column in batch.schema}
    for name in set(_JSON) & set(builders):
        builders[name] = encoders.StringEncoderBuilder.new_with_output(batch.schema.field(name), schema.Jsonb())
    encoder = ArrowToPostgresBinaryEncoder.new_with_encoders(batch.schema, builders)
    data = io.BytesIO(encoder.write_header() + encoder.write_batch(batch) + encoder.finish())
    driver = connection.connection.cursor()
    try:
        driver.copy_expert(query(f"behavior/{statement}").text, data)
    except psycopg2.OperationalError as error:  # not through SQLAlchemy, so not translated by it
        reason = str(error).strip().splitlines()[0]
        raise ServiceUnavailable(f"PostgreSQL cannot do this: {reason}. Check the server, then run again.") from error
    finally:
        driver.close()
