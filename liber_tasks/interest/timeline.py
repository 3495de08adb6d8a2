"""Interest timeline of a user: partitions with their items and what the LLM wrote about them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from liber_tasks.db import database_errors, query
from liber_tasks.interest.ledger import users_named


@dataclass(frozen=True)
class TimelineItem:
    """One behaviour of a partition."""

    title: str
    kind: str
    rating: float | None
    play_seconds: float | None


@dataclass(frozen=True)
class TimelineEntry:
    """One partition; texts and their origin are None until learnt.

    Attributes:
        partition_no: j of P_j.
        started_at: effective time of the first behaviour.
        ended_at: effective time of the last.
        n_behaviors: size.
        summary: klg^s_j.
        shift: klg^c_j; there is none for P_1.
        model: that wrote them.
        prompt_version: of both templates.
        knowledge_version: the newest one the partition was learnt with.
        prompt_tokens: of both calls.
        completion_tokens: of both calls.
        items: what the partition consists of, oldest first.
    """

    partition_no: int
    started_at: datetime
    ended_at: datetime
    n_behaviors: int
    summary: str | None
    shift: str | None
    model: str | None
    prompt_version: str | None
    knowledge_version: str | None
    prompt_tokens: int
    completion_tokens: int
    items: tuple[TimelineItem, ...]


def timeline(engine: Engine, user_id: str) -> tuple[TimelineEntry, ...]:
    """The user's partitions, oldest first.

    Raises:
        InputError: there is no such user.
    """
    with database_errors():
        (user_key,) = users_named(engine, [user_id])
        with engine.connect() as connection:
            items: dict[int, list[TimelineItem]] = {}
            for row in connection.execute(query("interest/timeline_items"), {"user_key": user_key}):
                items.setdefault(row.partition_no, []).append(
                    TimelineItem(row.title, row.kind, row.rating, row.play_seconds)
                )
            entries = connection.execute(query("interest/timeline"), {"user_key": user_key, "user_id": user_id})
            return tuple(
                TimelineEntry(**entry, items=tuple(items.get(entry["partition_no"], ())))
                for entry in entries.mappings()
            )
