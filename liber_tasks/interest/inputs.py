"""What learning reads: users in order, what they miss, and the inputs of their prompts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine

from liber_tasks.db import query
from liber_tasks.errors import InputError
from liber_tasks.interest.backlog import Partition, UserWork
from liber_tasks.interest.behavior import Behavior
from liber_tasks.interest.prompts import Knowledge
from liber_tasks.types import Shard

USERS_FIRST, USERS_READ = 2, 32  # users read together: few at first, so that calls begin at once
USERS_SIFTED = 20_000  # user keys in one statement


def users_in_order(engine: Engine, order: str, most: int | None, shard: Shard) -> list[int]:
    """Keys of the first `most` users (None: all) with partitions that are the shard's; `order` is "newest" or
    "active"."""
    asked = {"learn_order": order, "max_users": most, "shards": shard.of, "shard": shard.number}
    with engine.connect() as connection:
        return list(connection.execute(query("interest/users_in_order"), asked).scalars())


def users_named(engine: Engine, user_ids: Sequence[str]) -> list[int]:
    """Keys of these users.

    Raises:
        InputError: one is unknown; names it.
    """
    with engine.connect() as connection:
        rows = connection.execute(query("interest/users_named"), {"user_ids": list(user_ids)})
        found = {row.user_id: row.user_key for row in rows}
    for user_id in user_ids:
        if user_id not in found:
            raise InputError(f"There is no user {user_id!r}: check the id, or ingest the user's behaviours first.")
    return [found[user_id] for user_id in dict.fromkeys(user_ids)]


def check_described(engine: Engine, knowledge: Knowledge) -> None:
    """Refuse to show texts about items where there are none.

    Raises:
        InputError: of style described, and no item has a text of the version.
    """
    if knowledge.items is None:
        return
    with engine.connect() as connection:
        asked = {"knowledge_version": knowledge.items}
        if connection.execute(query("items/any_text"), asked).first() is None:
            raise InputError(
                "LIBER_HISTORY_STYLE=described shows what the LLM said about items, and version "
                f"{knowledge.items!r} says nothing: run `liber learn --items`, or set LIBER_ITEM_KNOWLEDGE_VERSION to "
                "one with texts."
            )


def pending(engine: Engine, knowledge: Knowledge, user_keys: Sequence[int]) -> tuple[int, int]:
    """Summaries and shifts of these users that a run can still bring."""
    summaries = shifts = 0
    version = {"knowledge_version": knowledge.version, "has_shift": knowledge.has_shift}
    with engine.connect() as connection:
        for keys in batches(user_keys, USERS_SIFTED):
            row = connection.execute(query("interest/pending"), {"user_keys": keys, **version}).one()
            summaries += row.summaries
            shifts += row.shifts
    return summaries, shifts


def work(engine: Engine, knowledge: Knowledge, user_keys: Sequence[int]) -> Iterator[list[UserWork]]:
    """Partitions, texts and inputs of those users that miss a text, in their order, some users at a time."""
    version = {"knowledge_version": knowledge.version, "has_shift": knowledge.has_shift}
    for sifted in batches(user_keys, USERS_SIFTED):
        with engine.connect() as connection:
            asked = {"user_keys": sifted, **version}
            missing = list(connection.execute(query("interest/users_to_learn"), asked).scalars())
        start, size = 0, USERS_FIRST
        while start < len(missing):
            yield _read(engine, knowledge, missing[start : start + size])
            start, size = start + size, min(2 * size, USERS_READ)


def _read(engine: Engine, knowledge: Knowledge, keys: Sequence[int]) -> list[UserWork]:
    parameters = {
        "user_keys": keys,
        "knowledge_version": knowledge.version,
        "length": knowledge.length,
        "items": knowledge.items,
    }
    # one snapshot: a prompt shows profiles as they were at one moment, so it can be reproduced
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:

        def read(name: str, connection: Connection = connection) -> list[Any]:
            return list(connection.execute(query(f"interest/{name}"), parameters))

        users = {row.user_key: row for row in read("attributes")}
        partitions, behaviors, quarantined = read("partitions"), read("behaviors"), read("quarantined")
    inputs: dict[tuple[int, int], list[Behavior]] = {}
    for row in behaviors:
        inputs.setdefault((row.user_key, row.partition_no), []).append(
            Behavior(row.title, _decoded(row.attributes), row.kind, row.rating, row.play_seconds, row.said or "")
        )
    of_user: dict[int, list[Partition]] = {}
    for row in partitions:
        shown = tuple(inputs.get((row.user_key, row.partition_no), ()))
        of_user.setdefault(row.user_key, []).append(Partition(row.partition_no, row.summary, row.has_shift, shown))
    aside: dict[int, set[str]] = {}
    for row in quarantined:
        aside.setdefault(row.user_key, set()).add(row.call_key)
    return [
        UserWork(key, users[key].user_id, users[key].attributes, tuple(of_user[key]), frozenset(aside.get(key, ())))
        for key in keys
        if key in users and key in of_user
    ]


@lru_cache(maxsize=20_000)
def _decoded(attributes: str) -> Mapping[str, Any]:
    """An item's attributes; popular items come again and again."""
    return dict(json.loads(attributes))


def batches(keys: Sequence[int], size: int) -> Iterator[list[int]]:
    """The keys, so many at a time."""
    for start in range(0, len(keys), size):
        yield list(keys[start : start + size])
