"""Pasts of users that the model carries itself, as of its registration. Travels with the model."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from liber_tasks.fusion.model import ModelConfig
from liber_tasks.serving.past import NEW_USER, UserPast, behaviors_read, nothing, reads_partitions

USERS, BUNDLE = "users.json", "bundle.npz"
KEPT = 10_000  # pasts, the least recently used leave
SINCE = datetime(2000, 1, 1, tzinfo=UTC)  # times are microseconds from here


class Bundle:
    """Columns of all users, by user and time.

    Args:
        users: id to number.
        arrays: `user` (U, 4) as in `Batch.user`; ranges `events`, `partitions`, `vectors` (U + 1,); of behaviours
            `item` (rows of the catalogue), `response`, `time`, `partition` (row, -1: none); `sealed_at` (Q,);
            `vector_at` (V,), `vector` (V, d).
        config: of the model.
    """

    def __init__(self, users: dict[str, int], arrays: dict[str, np.ndarray], config: ModelConfig) -> None:
        self._users, self._arrays, self._config = users, arrays, config
        self._cut = lru_cache(KEPT)(self._read)  # the same past is the same object, beside which its fused vector is

    @classmethod
    def load(cls, folder: Path, config: ModelConfig) -> "Bundle":
        """Read what `serving.pack` wrote."""
        users = json.loads((folder / USERS).read_text(encoding="utf-8"))
        with np.load(folder / BUNDLE, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return cls({user: number for number, user in enumerate(users)}, arrays, config)

    def users(self, asked: Sequence[tuple[str, datetime | None]]) -> list[UserPast]:
        """The past of each (user id, moment); moment None: now. Only what is carried and strictly earlier counts."""
        now = datetime.now(UTC)
        return [self._past(user, at or now) for user, at in asked]

    def items(self, item_ids: Sequence[str]) -> dict[str, tuple[Any, Any]]:
        """None: what the model does not know itself, its bundle does not either."""
        return {}

    def _past(self, user: str, at: datetime) -> UserPast:
        number = self._users.get(user)
        if number is None:
            return nothing(NEW_USER, self._config.vector_size)
        moment, of = (at - SINCE) // timedelta(microseconds=1), self._arrays
        start, end = of["events"][number : number + 2]
        until = np.searchsorted(of["time"][start:end], moment, side="left")
        first, last = of["vectors"][number : number + 2]
        vectors = np.searchsorted(of["vector_at"][first:last], moment, side="left")
        opened, closed = of["partitions"][number : number + 2]
        partitions = np.searchsorted(of["sealed_at"][opened:closed], moment, side="left")
        return self._cut(number, int(until), int(vectors), int(partitions))

    def _read(self, number: int, until: int, vectors: int, partitions: int) -> UserPast:
        """The past of a user's first behaviours, vectors and partitions, so many of each."""
        of = self._arrays
        start, end = of["events"][number : number + 2]
        item, response = (of[name][start : start + until].astype(np.int64) for name in ("item", "response"))
        first, opened = of["vectors"][number], of["partitions"][number]
        closed = opened + partitions
        opened = max(opened, closed - (self._config.max_partitions if reads_partitions(self._config) else 0))
        partition = of["partition"][start:end]
        inside = np.flatnonzero((partition >= opened) & (partition < closed))
        return UserPast(
            user=tuple(of["user"][number].tolist()),
            known=True,
            item=item[-behaviors_read(self._config) :],
            response=response[-behaviors_read(self._config) :],
            vectors=of["vector"][first : first + vectors].astype(np.float32),
            partitions=int(closed - opened),
            partition_item=of["item"][start + inside].astype(np.int64),
            partition_response=of["response"][start + inside].astype(np.int64),
            partition=(partition[inside] - opened).astype(np.int64),
        )
