"""Interest timeline of a user: partitions with their items and what the LLM wrote about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.interest.inputs import users_named


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
        knowledge_version: the one asked for, or the newest the partition was learnt with.
        prompt_tokens: of both texts, as the server counted them.
        completion_tokens: likewise.
        items: what the partition consists of, oldest first.
        summary_prompt: the template's address in MLflow's prompt registry, or its name and digest.
        shift_prompt: likewise.
        with_shift: this knowledge version has shifts; one that is missing is still to come.
        left_out: oldest behaviours that a prompt does not show, because the server's context was too short.
        summary_finish: why the server stopped writing: stop, or length when `*_max_tokens` cut the text off.
        shift_finish: likewise.
        calls: put to the LLM here, with repeated ones; an imported text took none.
        removed_at: when retention removed the texts; None: it did not.
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
    summary_prompt: str | None = None
    shift_prompt: str | None = None
    with_shift: bool = True
    left_out: int = 0
    summary_finish: str | None = None
    shift_finish: str | None = None
    calls: int = 0
    removed_at: datetime | None = None


@dataclass(frozen=True)
class TimelineTotals:
    """All partitions of a timeline together."""

    texts: int
    prompt_tokens: int
    completion_tokens: int
    calls: int


def timeline(engine: Engine, user_id: str, *, knowledge_version: str | None = None) -> tuple[TimelineEntry, ...]:
    """The user's partitions, oldest first.

    Args:
        engine: LIBER database; a role that reads is enough.
        user_id: external id.
        knowledge_version: whose texts; None: of each partition the newest.

    Raises:
        InputError: there is no such user, or the user has no text of this version.
    """
    with database_errors():
        (user_key,) = users_named(engine, [user_id])
        user = {"user_key": user_key}
        with engine.connect() as connection:
            versions = list(connection.execute(query("interest/timeline_versions"), user).scalars())
            if knowledge_version is not None and knowledge_version not in versions:
                known = f"there are texts of {', '.join(versions)}" if versions else "nothing is learnt yet"
                raise InputError(f"User {user_id!r} has no text of knowledge version {knowledge_version!r}: {known}.")
            items: dict[int, list[TimelineItem]] = {}
            for row in connection.execute(query("interest/timeline_items"), user):
                items.setdefault(row.partition_no, []).append(
                    TimelineItem(row.title, row.kind, row.rating, row.play_seconds)
                )
            entries = connection.execute(query("interest/timeline"), user | {"knowledge_version": knowledge_version})
            return tuple(
                TimelineEntry(**entry, items=tuple(items.get(entry["partition_no"], ())))
                for entry in entries.mappings()
            )


def totals(entries: Sequence[TimelineEntry]) -> TimelineTotals:
    """Texts, tokens and calls of all partitions."""
    return TimelineTotals(
        texts=sum((entry.summary is not None) + (entry.shift is not None) for entry in entries),
        prompt_tokens=sum(entry.prompt_tokens for entry in entries),
        completion_tokens=sum(entry.completion_tokens for entry in entries),
        calls=sum(entry.calls for entry in entries),
    )
