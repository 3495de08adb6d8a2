"""Cost account: calls and tokens by learning run and by user."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from liber_tasks.db import database_errors, query
from liber_tasks.interest.inputs import users_named


@dataclass(frozen=True)
class CostEntry:
    """Calls of one run, or about one user, for one knowledge version.

    Attributes:
        name: of the run, or id of the user.
        knowledge_version: of the texts.
        model: that was asked.
        calls: questions, each counted once however often it was tried.
        done: of these answered.
        failed: of these to be asked again.
        quarantined: of these set aside.
        prompt_tokens: over all tries, as the server counted them.
        completion_tokens: likewise.
        started_at: when the first call was claimed.
        finished_at: when the last one ended; None: none has.
    """

    name: str
    knowledge_version: str
    model: str
    calls: int
    done: int
    failed: int
    quarantined: int
    prompt_tokens: int
    completion_tokens: int
    started_at: datetime
    finished_at: datetime | None


def cost_of_runs(engine: Engine, most: int) -> tuple[CostEntry, ...]:
    """The newest runs."""
    with database_errors(), engine.connect() as connection:
        return tuple(CostEntry(*row) for row in connection.execute(query("interest/cost_of_runs"), {"most": most}))


def cost_of_users(engine: Engine, most: int, user_id: str | None = None) -> tuple[CostEntry, ...]:
    """One user, or those whose texts cost most.

    Raises:
        InputError: there is no such user.
    """
    with database_errors():
        if user_id is not None:
            users_named(engine, [user_id])
        with engine.connect() as connection:
            rows = connection.execute(query("interest/cost_of_users"), {"most": most, "user_id": user_id})
            return tuple(CostEntry(*row) for row in rows)
