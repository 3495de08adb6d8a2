"""Promises of putting a load in order outside the database: exact, whatever is forgotten or spilled on the way."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from liber_tasks.behavior.store import buckets, codes
from liber_tasks.behavior.store.buckets import Buckets
from liber_tasks.behavior.store.codes import Codes
from liber_tasks.behavior.store.order import Streams, in_order, keyed

NEVER = np.iinfo(np.int64).min
MICROS = pa.timestamp("us", "UTC")

events = st.tuples(st.integers(1, 4), st.integers(0, 5), st.text("aAé~", min_size=1, max_size=2))  # user, time, id


def batch(rows: list[tuple[int, int, str]]) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "line": pa.array(range(1, len(rows) + 1), pa.int64()),
            "user_code": pa.array([user for user, _, _ in rows], pa.int64()),
            "item_code": pa.array([1] * len(rows), pa.int64()),
            "event_id": pa.array([name for _, _, name in rows], pa.string()),
            "event_time": pa.array([time for _, time, _ in rows], MICROS),
        }
    )


@examples(deadline=None)
@given(st.lists(events, max_size=30), st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_rows_join_as_one_event_after_another_would(rows: list[tuple[int, int, str]], before: list[int]) -> None:
    keys = np.array([0, 10, 20, 30, 0])  # the fourth user is refused
    clock = np.array([NEVER, *[3 if n else NEVER for n in before]])
    last = np.array([0, *before])
    found = in_order(keyed(batch(rows), Streams(keys, last, clock), np.array([0, 7])))

    expected = []
    seen: set[tuple[int, str]] = set()
    kept = [row for row in rows if not ((row[0], row[2]) in seen or seen.add((row[0], row[2])))]
    for user in (1, 2, 3):
        seq, now = before[user - 1], clock[user]
        for _, time, name in sorted((r for r in kept if r[0] == user), key=lambda r: (r[1], r[2].encode())):
            seq, now = seq + 1, max(now, time)
            expected.append((user * 10, 7, seq, name, time, now))
    columns = ("user_key", "item_key", "seq", "event_id")
    times = [found.column(name).cast(pa.int64()).to_pylist() for name in ("event_time", "effective_time")]
    assert list(zip(*[found.column(name).to_pylist() for name in columns], *times, strict=True)) == expected


@pytest.mark.parametrize("memory", [1, 7, 1_000])
@examples(deadline=None)
@given(st.lists(st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=9), max_size=9))
def test_buckets_give_every_row_back_users_whole_and_in_the_order_they_came(memory: int, ids: list[list[str]]) -> None:
    held, buckets.ROWS_IN_MEMORY = buckets.ROWS_IN_MEMORY, memory
    dealt, number, users = Buckets(), 0, Codes()
    for names in ids:
        _, places, _ = users.encode(pa.array(names))
        dealt.add(pa.record_batch({"n": pa.array(range(number, number + len(names))), "user": pa.array(names)}), places)
        number += len(names)
    found = [list(zip(b.column("user").to_pylist(), b.column("n").to_pylist(), strict=True)) for b in dealt]
    dealt.close()
    buckets.ROWS_IN_MEMORY = held
    assert sorted(n for bucket in found for _, n in bucket) == list(range(number))
    for bucket in found:
        for user in {user for user, _ in bucket}:
            assert [n for name, n in bucket if name == user] == sorted(n for name, n in bucket if name == user)
    holders = [{user for user, _ in bucket} for bucket in found]
    assert sum(map(len, holders)) == len(set().union(*holders))


@pytest.mark.parametrize("remembered", [0, 2, 100])
@examples(deadline=None)
@given(st.lists(st.lists(st.text("ab", max_size=2), min_size=1, max_size=9), max_size=9))
def test_a_code_means_one_id_even_when_ids_were_forgotten(remembered: int, ids: list[list[str]]) -> None:
    most, codes.MOST = codes.MOST, remembered
    given_codes, meaning = Codes(), {}
    for names in ids:
        found, _, new = given_codes.encode(pa.array(names))
        for code, name in zip(new["code"].to_pylist(), new["id"].to_pylist(), strict=True):
            assert meaning.setdefault(code, name) == name
        assert [meaning[code] for code in found.tolist()] == names
    codes.MOST = most
    assert sorted(meaning) == list(range(1, given_codes.last + 1))
