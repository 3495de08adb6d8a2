"""Count the pipeline's state anew: seconds where there are millions of texts."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from liber_tasks.config import Settings
from liber_tasks.db import query
from liber_tasks.status import models
from liber_tasks.status.state import LlmUse, Problem, Stage, State

LOOKED_BACK = 30  # days, for the newest partition and vector
NO_BOUND = 2**31  # no cache is so full


def count(connection: Connection, settings: Settings) -> State:
    """The state now.

    Args:
        connection: to the LIBER database; reads only.
        settings: `partition_k`, `learn_max_users` and `learn_variant` say what the next run would take up,
            `mlflow_tracking_uri` and `model_name` where models are; a server that does not answer leaves them out.
    """
    begun, now = time.perf_counter(), datetime.now(UTC)
    asked = {
        "k": settings.partition_k or NO_BOUND,
        "everyone": settings.learn_max_users is None,
        "without_shift": settings.learn_variant != "full",
    }
    oldest: dict[str, Any] = dict(_rows(connection, "oldest", **asked))
    stages = [
        replace(one, oldest_pending_at=oldest.get(one.stage) if one.pending else None) for one in backlog(connection)
    ]
    newest: dict[str, Any] = dict(connection.execute(query("status/newest"), {"days": LOOKED_BACK}).mappings().one())
    if trained := models.trained(settings):
        unread = _rows(connection, "unread", since=trained.newest_at)[0]
        at = len(stages) - 1  # before the readout
        stages.insert(at, Stage("train", "models", trained.versions, unread[0], 0, unread[1]))
        newest["model"] = trained.newest_at
    return State(
        counted_at=now,
        stages=tuple(stages),
        llm=tuple(LlmUse(*row) for row in _rows(connection, "llm")),
        problems=tuple(Problem(*row) for row in _rows(connection, "problems")),
        newest=newest,
        seconds=round(time.perf_counter() - begun, 3),
    )


def backlog(connection: Connection) -> tuple[Stage, ...]:
    """What is done and what waits, without since when."""
    return tuple(Stage(*row) for row in _rows(connection, "stages"))


def _rows(connection: Connection, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(query(f"status/{name}"), parameters)]
