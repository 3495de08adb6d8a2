"""Append: the behaviours of one load to their streams, inside the load's transaction.

Ids become codes as rows come in, and only the ids go to the server ahead of time. At the end, with the streams
locked, codes become keys and rows get their places here, a bucket of users at a time; what goes to the server is
final. So the one database does little more than to store, and memory stays bounded however large the load is.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from liber_tasks.behavior.store.buckets import Buckets
from liber_tasks.behavior.store.codes import Codes
from liber_tasks.behavior.store.copying import copy_batch
from liber_tasks.behavior.store.order import Streams, in_order, keyed
from liber_tasks.binary_copy import EPOCH_2000, copy_columns
from liber_tasks.db import query

COLUMNS = [
    "item_key", "user_key", "event_id", "event_time", "kind", "rating", "play_seconds", "context", "seq",
    "effective_time",
]  # fmt: skip
ROWS_A_COPY = 65_536
CODES_A_READ = 500_000
NEVER = np.iinfo(np.int64).min  # PostgreSQL's -infinity


class Written(NamedTuple):
    """What became of the rows of a load."""

    accepted: int  # new or changed something
    refused: int  # their users are erased


class Append:
    """`add` rows, then `finish`; `close` in any case."""

    def __init__(self, connection: Connection) -> None:
        """Make the stages of codes."""
        self._connection = connection
        self._codes = {"user": Codes(), "item": Codes()}
        self._buckets = Buckets()
        for name in self._codes:
            connection.execute(query(f"behavior/stage_{name}_codes"))
        connection.execute(query("behavior/stage_known"))

    def add(self, rows: pa.RecordBatch) -> None:
        """Take in rows of `checks.BEHAVIOR_SCHEMA`."""
        buckets = np.zeros(0, np.uint8)
        for name in ("item", "user"):
            place = rows.schema.get_field_index(f"{name}_id")
            codes, buckets, meaning = self._codes[name].encode(rows.column(place))
            copy_batch(self._connection, f"copy_{name}_codes", meaning)
            rows = rows.set_column(place, f"{name}_code", pa.array(codes))
        self._buckets.add(rows, buckets)

    def finish(self) -> Written:
        """Append everything; afterwards the streams are locked until the end of the transaction."""
        for step in ("analyze_user_codes", "analyze_item_codes", "add_users", "add_items", "add_streams"):
            self._connection.execute(query(f"behavior/{step}"))
        self._connection.execute(query("behavior/lock_streams"))
        streams, items = self._streams(), self._meaning("item", ("item_key",))["item_key"]
        refused = 0
        for rows in self._buckets:
            refused += int((streams.key[rows.column("user_code").to_numpy()] == 0).sum())
            self._store(keyed(rows, streams, items))
        return Written(int(self._connection.execute(query("behavior/advance_streams")).scalar_one()), refused)

    def close(self) -> None:
        """Let go of what is held outside the database."""
        self._buckets.close()

    def _store(self, rows: pa.RecordBatch) -> None:
        """Rows of whole streams, each event once: those that are new join them."""
        rows = in_order(self._without_known(rows)).select(COLUMNS)
        for start in range(0, rows.num_rows, ROWS_A_COPY):
            copy_batch(self._connection, "copy_behaviors", rows.slice(start, ROWS_A_COPY))

    def _without_known(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Rows without the events that their streams hold already; an empty stream holds none."""
        places = np.flatnonzero(rows.column("last_seq").to_numpy() > 0)
        if not len(places):
            return rows
        asked = rows.select(["user_key", "event_id"]).take(pa.array(places)).add_column(0, "place", pa.array(places))
        self._connection.execute(query("behavior/empty_known"))
        copy_batch(self._connection, "copy_known", asked)
        self._connection.execute(query("behavior/analyze_known"))
        found = copy_columns(self._connection, "behavior/known", {"place": ">i8"}, {})
        fresh = np.ones(rows.num_rows, bool)
        fresh[found["place"]] = False
        return rows.filter(pa.array(fresh))

    def _streams(self) -> Streams:
        found = self._meaning("user", ("user_key", "last_seq", "clock"))
        known = found["clock"] != NEVER
        return Streams(found["user_key"], found["last_seq"], np.where(known, found["clock"] + EPOCH_2000, NEVER))

    def _meaning(self, name: str, columns: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Columns of the rows that codes stand for, int64, indexed by code; 0 where a code means nothing."""
        last = self._codes[name].last
        found = {column: np.zeros(last + 1, np.int64) for column in columns}
        for after in range(0, last, CODES_A_READ):
            bounds: dict[str, Any] = {"after": after, "until": after + CODES_A_READ}
            fields = dict.fromkeys(("code", *columns), ">i8")
            part = copy_columns(self._connection, f"behavior/{name}_codes", fields, bounds)
            for column in columns:
                found[column][part["code"]] = part[column]
        return found
