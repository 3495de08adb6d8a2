"""Pasts of users that the model carries itself, as of its registration. Travels with the model."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from liber_tasks.fusion.model import ModelConfig
from liber_tasks.serving.past import NEW_USER, UserPast, behaviors_read, nothing, reads_partitions

USERS, BUNDLE = "users.json", "bundle.npz"
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
        number, size = self._users.get(user), self._config.vector_size
        if number is None:
            return nothing(NEW_USER, size)
        moment, of = (at - SINCE) // timedelta(microseconds=1), self._arrays
        start, end = of["events"][number : number + 2]
        until = start + np.searchsorted(of["time"][start:end], moment, side="left")
        item, response = of["item"][start:until].astype(np.int64), of["response"][start:until].astype(np.int64)
        first, last = of["vectors"][number : number + 2]
        last = first + np.searchsorted(of["vector_at"][first:last], moment, side="left")
        opened, closed = of["partitions"][number : number + 2]
        closed = opened + np.searchsorted(of["sealed_at"][opened:closed], moment, side="left")
        opened = max(opened, closed - (self._config.max_partitions if reads_partitions(self._config) else 0))
        partition = of["partition"][start:end]
        inside = np.flatnonzero((partition >= opened) & (partition < closed))
        return UserPast(
            user=tuple(of["user"][number].tolist()),
            known=True,
            item=item[-behaviors_read(self._config) :],
            response=response[-behaviors_read(self._config) :],
            vectors=of["vector"][first:last].astype(np.float32),
            partitions=int(closed - opened),
            partition_item=of["item"][start + inside].astype(np.int64),
            partition_response=of["response"][start + inside].astype(np.int64),
            partition=(partition[inside] - opened).astype(np.int64),
        )
