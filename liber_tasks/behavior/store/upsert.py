"""Upsert: the items or users of one load, inside the load's transaction."""

from typing import Literal

import pyarrow as pa
from sqlalchemy import Connection

from liber_tasks.behavior.store.append import Written
from liber_tasks.behavior.store.copying import copy_batch
from liber_tasks.db import query


class Upsert:
    """`add` rows to a stage, then `finish`: the last row of a profile holds."""

    def __init__(self, connection: Connection, kind: Literal["items", "users"]) -> None:
        """Make the stage."""
        self._connection = connection
        self._kind = kind
        self._rows = 0
        connection.execute(query(f"behavior/stage_{kind}"))

    def add(self, rows: pa.RecordBatch) -> None:
        """Take in rows of the kind's schema in `checks`."""
        copy_batch(self._connection, f"copy_{self._kind}", rows)
        self._rows += rows.num_rows

    def finish(self) -> Written:
        """Write the profiles; accepted are those that are new or changed."""
        self._connection.execute(query(f"behavior/analyze_{self._kind}"))
        left = self._connection.execute(query(f"behavior/count_{self._kind}")).scalar_one()
        changed = self._connection.execute(query(f"behavior/upsert_{self._kind}")).scalar_one()
        return Written(int(changed), self._rows - int(left))

    def close(self) -> None:
        """Nothing is held outside the database."""
