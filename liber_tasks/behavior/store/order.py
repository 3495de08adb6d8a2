"""Rows of a load as they join their streams: each event once, dense seq, effective times that never run backwards."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Streams:
    """What the codes of users mean, indexed by code; row 0 means nothing.

    Attributes:
        key: int64 (codes + 1,) user_key; 0: the user is refused.
        last_seq: int64, of the stream before the load.
        clock: int64, effective time of last_seq in microseconds since 1970; the smallest number for an empty stream.
    """

    key: np.ndarray
    last_seq: np.ndarray
    clock: np.ndarray


def keyed(rows: pa.RecordBatch, streams: Streams, items: np.ndarray) -> pa.RecordBatch:
    """Rows whose user is not refused, with keys in place of codes, each event once: the first line of it.

    Args:
        rows: (n,) with line, user_code, item_code, event_id and more.
        streams: of the users.
        items: int64 (codes + 1,), item_key by code.

    Returns:
        (m,), m <= n: user_key and item_key in place of the codes, and `last_seq` and `clock` of each row's stream.
    """
    codes = rows.column("user_code").to_numpy()
    user_key = streams.key[codes]
    rows = _replaced(rows, "user_code", "user_key", user_key)
    rows = _replaced(rows, "item_code", "item_key", items[rows.column("item_code").to_numpy()])
    rows = rows.append_column("last_seq", pa.array(streams.last_seq[codes]))
    rows = rows.append_column("clock", pa.array(streams.clock[codes]))
    if not user_key.all():
        rows = rows.filter(pa.array(user_key > 0))
    return _first_of_each(rows)


def in_order(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Give each row its place in its stream: in the order (event_time, event_id) behind what is there already.

    Args:
        rows: (n,), keyed, new to the streams.

    Returns:
        Rows in the order of user_key and seq, with `seq` int64 and `effective_time`.
    """
    keys = [(name, "ascending") for name in ("user_key", "event_time", "event_id")]
    rows = rows.take(pc.sort_indices(rows, sort_keys=keys))  # event ids by their UTF-8 bytes
    user = rows.column("user_key").to_numpy()
    first = np.concatenate([[True], user[1:] != user[:-1]])[: len(user)]
    start = np.maximum.accumulate(np.where(first, np.arange(len(user)), 0))
    seq = rows.column("last_seq").to_numpy() + np.arange(len(user)) - start + 1
    time = rows.column("event_time")
    # in order of time, so the running maximum is the row's own time or the stream's clock
    effective = np.maximum(time.cast(pa.int64()).to_numpy(), rows.column("clock").to_numpy())
    rows = rows.append_column("seq", pa.array(seq))
    return rows.append_column("effective_time", pa.array(effective).cast(time.type))


def _replaced(rows: pa.RecordBatch, name: str, new: str, values: np.ndarray) -> pa.RecordBatch:
    return rows.set_column(rows.schema.get_field_index(name), new, pa.array(values))


def _first_of_each(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Without the later lines of an event that is there several times."""
    ids = rows.column("event_id")
    hashes = np.fromiter(map(hash, ids.to_pylist()), np.int64, len(ids)) ^ rows.column("user_key").to_numpy() << 32
    ordered = np.sort(hashes)
    if not (ordered[1:] == ordered[:-1]).any():
        return rows  # all differ, for sure
    keys = [(name, "ascending") for name in ("user_key", "event_id", "line")]
    rows = rows.take(pc.sort_indices(rows, sort_keys=keys))
    user, ids = rows.column("user_key").to_numpy(), rows.column("event_id")
    same = (user[1:] == user[:-1]) & pc.equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    return rows.filter(pa.array(np.concatenate([[True], ~same])))
