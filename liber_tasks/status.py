"""What is done and what waits, stage by stage."""

from dataclasses import dataclass

from sqlalchemy import Engine

from liber_tasks.db import query


@dataclass(frozen=True)
class StageStatus:
    """One stage of the pipeline; counts of `unit`."""

    stage: str
    unit: str
    done: int
    pending: int
    failed: int


def status(engine: Engine) -> tuple[StageStatus, ...]:
    """Backlog of every stage, in the order of the journey (view liber.pipeline_status)."""
    with engine.connect() as connection:
        return tuple(StageStatus(*row) for row in connection.execute(query("pipeline_status")))
