"""Rows of a load, dealt by user: in memory while they are few, in files that vanish with the process when not.

All rows of a user are in one bucket, so that a stream can be put in order a bucket at a time.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO

import numpy as np
import pyarrow as pa

from liber_tasks.behavior.store.codes import BUCKETS

ROWS_IN_MEMORY = 500_000


class Buckets:
    """`add` batches, then iterate once; `close` in any case."""

    def __init__(self) -> None:
        self._rows: list[pa.RecordBatch] = []
        self._numbers: list[np.ndarray] = []
        self._held = 0
        self._files: list[IO[bytes]] = []
        self._writers: list[pa.RecordBatchStreamWriter] = []
        self._stack = ExitStack()

    def add(self, rows: pa.RecordBatch, numbers: np.ndarray) -> None:
        """Take rows in.

        Args:
            rows: (n,), always of one schema.
            numbers: of the bucket of each row, uint8 (n,).
        """
        self._rows.append(rows)
        self._numbers.append(numbers)
        self._held += rows.num_rows
        if self._held >= ROWS_IN_MEMORY:
            self._spill()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Rows of whole buckets, as many buckets at a time as fit; of a user, in the order they came.

        The more at a time, the better: each time the rows sweep the indexes of their table once, in order.
        """
        if self._writers:
            self._spill()
        for writer, file in zip(self._writers, self._files, strict=True):
            writer.close()
            file.seek(0)
            with pa.ipc.open_stream(file) as reader:
                batches = list(reader)
            file.truncate(0)
            rows = sum(batch.num_rows for batch in batches)
            if self._held and self._held + rows > ROWS_IN_MEMORY:
                yield self._take()
            self._rows += batches
            self._held += rows
        if self._held:
            yield self._take()

    def close(self) -> None:
        """Let the files go."""
        self._stack.close()

    def _spill(self) -> None:
        if not self._held:
            return
        numbers = np.concatenate(self._numbers)
        rows = self._take()
        if not self._writers:
            for _ in range(BUCKETS):
                # a file without a name: a crash leaves nothing behind
                file = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 closed by the stack
                self._files.append(file)
                self._writers.append(pa.ipc.new_stream(file, rows.schema))
        order = np.argsort(numbers, kind="stable")
        rows = rows.take(pa.array(order))
        ends = np.cumsum(np.bincount(numbers, minlength=BUCKETS))
        for number, end in enumerate(ends.tolist()):
            start = int(ends[number - 1]) if number else 0
            if end > start:
                self._writers[number].write_batch(rows.slice(start, end - start))

    def _take(self) -> pa.RecordBatch:
        """What is held, which is then let go."""
        rows = pa.concat_batches(self._rows)
        self._rows, self._numbers, self._held = [], [], 0
        return rows
