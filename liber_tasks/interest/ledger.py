"""What learning reads and writes: users, inputs, claims, texts. A text and its ledger row share one transaction."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Literal

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from liber_tasks.db import query
from liber_tasks.errors import InputError
from liber_tasks.interest.backlog import Partition, UserWork
from liber_tasks.interest.llm import Answer
from liber_tasks.interest.prompts import Call, Knowledge
from liber_tasks.interest.summary import Behavior

USERS_READ = 64  # users whose inputs are in memory at once


def users_in_order(engine: Engine, order: str, most: int | None) -> list[int]:
    """Keys of the first `most` users (None: all) with partitions; `order` is "newest" or "active"."""
    with engine.connect() as connection:
        found = connection.execute(query("interest/users_in_order"), {"learn_order": order, "max_users": most})
        return [row.user_key for row in found]


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


def pending(engine: Engine, knowledge: Knowledge, user_keys: Sequence[int]) -> tuple[int, int]:
    """Summaries and shifts of these users that a run can still bring."""
    with engine.connect() as connection:
        row = connection.execute(
            query("interest/pending"), {"user_keys": list(user_keys), "knowledge_version": knowledge.version}
        ).one()
    return row.summaries, row.shifts


def work(engine: Engine, knowledge: Knowledge, user_keys: Sequence[int]) -> Iterator[UserWork]:
    """Partitions, texts and inputs of these users, in their order, read some users at a time."""
    for keys in _batches(user_keys, USERS_READ):
        parameters = {"user_keys": keys, "knowledge_version": knowledge.version}
        # one snapshot: a prompt shows profiles as they were at one moment, so it can be reproduced
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:

            def read(name: str, connection: Connection = connection, parameters: Any = parameters) -> list[Any]:
                return list(connection.execute(query(f"interest/{name}"), parameters))

            users = {row.user_key: row for row in connection.execute(query("interest/attributes"), {"user_keys": keys})}
            partitions, behaviors, quarantined = read("partitions"), read("behaviors"), read("quarantined")
        inputs: dict[tuple[int, int], list[Behavior]] = {}
        for row in behaviors:
            inputs.setdefault((row.user_key, row.partition_no), []).append(
                Behavior(row.title, row.attributes, row.kind, row.rating, row.play_seconds)
            )
        of_user: dict[int, list[Partition]] = {}
        for row in partitions:
            of_user.setdefault(row.user_key, []).append(
                Partition(row.partition_no, row.summary, row.has_shift,
                          tuple(inputs.get((row.user_key, row.partition_no), ())))
            )  # fmt: skip
        aside: dict[int, set[str]] = {}
        for row in quarantined:
            aside.setdefault(row.user_key, set()).add(row.call_key)
        for key in keys:
            if key in users and key in of_user:
                yield UserWork(key, users[key].user_id, users[key].attributes, tuple(of_user[key]),
                               frozenset(aside.get(key, ())))  # fmt: skip


def _batches(keys: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(keys), size):
        yield list(keys[start : start + size])


class Ledger:
    """Claims and results of one run, on one connection whose end gives every claim back."""

    def __init__(self, engine: Engine, knowledge: Knowledge, run_id: str) -> None:
        """Open the connection and name the knowledge version."""
        self._version = knowledge.version
        self._run_id = run_id
        self._claimed: dict[str, Call] = {}
        self._connection = engine.connect()
        with self._connection.begin():
            self._connection.execute(
                query("interest/add_version"),
                {
                    "knowledge_version": knowledge.version,
                    "model": knowledge.model,
                    "summary_prompt": knowledge.templates["summary"].version,
                    "shift_prompt": knowledge.templates["shift"].version,
                    "parameters": json.dumps(knowledge.parameters),
                },
            )

    def close(self, reason: str) -> None:
        """Give back what is still claimed (`failed` for `reason`) and end the connection, which frees its locks."""
        with suppress(SQLAlchemyError):  # a lost connection has given everything back already
            for call in list(self._claimed.values()):
                self.give_up(call, "failed", reason)
        self._connection.close()

    def claim(self, call: Call) -> bool:
        """Write the call down as running; False when another learner makes it, or its text is there already."""
        with self._connection.begin():
            if not self._execute("lock_call", lock=self._lock(call)).scalar_one():
                return False
        with self._connection.begin():  # its own snapshot: what the lock's last holder committed is visible
            claimed = self._execute(
                "claim", call_key=call.key, run_id=self._run_id, **_place(call), knowledge_version=self._version
            ).first()
            if claimed is None:
                self._execute("unlock_call", lock=self._lock(call))
                return False
        self._claimed[call.key] = call
        return True

    def store(self, call: Call, answer: Answer) -> None:
        """Keep the text and close its call, in one transaction."""
        with self._connection.begin():
            self._execute(
                "add_text", **_place(call), knowledge_version=self._version, text=answer.text,
                input_sha256=call.input_sha256, prompt_tokens=answer.prompt_tokens,
                completion_tokens=answer.completion_tokens, latency_seconds=answer.latency_seconds,
                finish_reason=answer.finish_reason,
            )  # fmt: skip
            self._finish(call, "done", None)

    def give_up(self, call: Call, state: Literal["failed", "quarantined"], error: str) -> None:
        """Close a call without a text: `failed` is asked again by the next run, `quarantined` is not."""
        with self._connection.begin():
            self._finish(call, state, error[:1000])

    def _finish(self, call: Call, state: str, error: str | None) -> None:
        self._execute("finish_call", call_key=call.key, state=state, error=error)
        self._execute("unlock_call", lock=self._lock(call))
        self._claimed.pop(call.key, None)

    def _lock(self, call: Call) -> int:
        """Advisory lock number of the text, not of the call: learners that read different profiles ask different
        questions for one text, and the second answer would be thrown away."""
        text = json.dumps([call.user_key, call.partition_no, call.kind, self._version])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], signed=True)

    def _execute(self, name: str, **parameters: Any) -> Any:
        return self._connection.execute(query(f"interest/{name}"), parameters)


def _place(call: Call) -> dict[str, Any]:
    return {"user_key": call.user_key, "partition_no": call.partition_no, "kind": call.kind}
