"""What learning writes: claims and texts. Texts and their ledger rows share one transaction."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Literal

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from liber_tasks.db import query
from liber_tasks.interest.call import Call, PartitionPlace, Place
from liber_tasks.interest.inputs import batches
from liber_tasks.interest.llm import Answer, Spent
from liber_tasks.interest.prompts import Knowledge, digest

USERS_ADOPTED = 2_000  # users in one transaction


@dataclass(frozen=True)
class Result(Generic[Place]):
    """An answer with its call.

    Attributes:
        call: that was answered.
        answer: of the model.
        prompt: as it was sent.
        left_out: parts the prompt was sent without, such as the oldest behaviours.
    """

    call: Call[Place]
    answer: Answer
    prompt: str
    left_out: int


@dataclass(frozen=True)
class Subject(Generic[Place]):
    """What calls are about, as the database has it.

    Attributes:
        claim: statement that writes calls down as running.
        store: statement that keeps their texts and closes them.
        places: the parameters of both that say what each call is about.
        release: statement that lets calls be asked again, by keys of users or items.
        text: what tells a call's text from the others of its version.
    """

    claim: str
    store: str
    places: Callable[[Sequence[Call[Place]]], Mapping[str, list[Any]]]
    release: str
    text: Callable[[Call[Place]], list[Any]]


PARTITIONS: Subject[PartitionPlace] = Subject(
    claim="interest/claim",
    store="interest/store",
    places=lambda calls: {
        "user_keys": [call.place.user_key for call in calls],
        "partition_nos": [call.place.partition_no for call in calls],
        "kinds": [call.kind for call in calls],
    },
    release="interest/release",
    text=lambda call: [call.place.user_key, call.place.partition_no, call.kind],
)


def adopt(engine: Engine, knowledge: Knowledge, user_keys: Sequence[int]) -> int:
    """Take over the summaries of these users that another version asked for in the same words; how many."""
    adopted = 0
    version = {"knowledge_version": knowledge.version, "summary_origin": knowledge.summary_origin}
    for keys in batches(user_keys, USERS_ADOPTED):
        with engine.begin() as connection:
            adopted += connection.execute(query("interest/adopt"), {"user_keys": keys, **version}).rowcount
    return adopted


def release(engine: Engine, subject: Subject[Place], knowledge_version: str, keys: Sequence[int]) -> int:
    """Let calls about these users or items that were set aside be asked again; how many."""
    with engine.begin() as connection:
        asked = {"keys": list(keys), "knowledge_version": knowledge_version}
        return connection.execute(query(subject.release), asked).rowcount


def interrupted(engine: Engine, run_id: str) -> int:
    """Say of calls that an earlier try of the run had claimed when its process died that they failed; how many."""
    with engine.begin() as connection:
        return connection.execute(query("interest/interrupted"), {"run_id": run_id}).rowcount


def spent(engine: Engine, run_id: str) -> tuple[int, int, float]:
    """Calls and tokens of a run so far, and seconds since it began."""
    with engine.connect() as connection:
        row = connection.execute(query("interest/spent"), {"run_id": run_id}).one()
    return row.calls, row.tokens, row.seconds


class Ledger(Generic[Place]):
    """Claims and results of one run. Claims hold locks on a connection of their own, whose end gives them back; results
    have another, so that an answer does not wait until calls are claimed. One thread at a time may claim, and one store
    or give up."""

    def __init__(self, engine: Engine, subject: Subject[Place], knowledge_version: str, run_id: str) -> None:
        """Open the connections."""
        self._subject = subject
        self._version = knowledge_version
        self._run_id = run_id
        self._claimed: dict[str, Call[Place]] = {}
        self._ended: deque[Call[Place]] = deque()  # committed, still locked
        # each statement is a transaction of its own: no round trips for BEGIN and COMMIT while answers wait
        self._claims = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._results = engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def close(self, reason: str) -> None:
        """Give back what is still claimed (`failed` for `reason`) and end the connections, which frees the locks."""
        with suppress(SQLAlchemyError):  # a lost connection has given everything back already
            if self._claimed:
                self.give_up([(call, reason, Spent()) for call in list(self._claimed.values())], "failed")
        self._results.close()
        self._claims.close()

    def claim(self, calls: Sequence[Call[Place]]) -> set[str]:
        """Write calls down as running; returns the keys of those that are now ours. The rest is made by another
        learner, or its texts are there already, or it was set aside."""
        locks = {self._lock(call): call for call in calls}
        self._unlock_ended()
        held = {row.lock for row in _run(self._claims, "interest/lock_calls", locks=list(locks)) if row.locked}
        ours = [call for lock, call in locks.items() if lock in held]
        claimed: set[str] = set()
        if ours:  # a statement of its own: its snapshot shows what the locks' last holders committed
            found = _run(
                self._claims,
                self._subject.claim,
                run_id=self._run_id,
                knowledge_version=self._version,
                call_keys=[call.key for call in ours],
                prompt_characters=[len(call.prompt) for call in ours],
                **self._subject.places(ours),
            )
            claimed = set(found.scalars())
        self._claimed.update((call.key, call) for call in ours if call.key in claimed)
        self._ended.extend(call for call in ours if call.key not in claimed)
        return claimed

    def store(self, results: Sequence[Result[Place]]) -> set[str]:
        """Keep texts and close their calls, in one transaction; returns the keys of those that were kept. The others'
        users were erased meanwhile."""
        calls, answers = [result.call for result in results], [result.answer for result in results]
        kept = _run(
            self._results,
            self._subject.store,
            knowledge_version=self._version,
            call_keys=[call.key for call in calls],
            **self._subject.places(calls),
            texts=[answer.text for answer in answers],
            inputs_sha256=[digest(result.prompt) for result in results],
            left_out=[result.left_out for result in results],
            prompt_tokens=[answer.prompt_tokens for answer in answers],
            completion_tokens=[answer.completion_tokens for answer in answers],
            latency_seconds=[answer.latency_seconds for answer in answers],
            finish_reasons=[answer.finish_reason for answer in answers],
            servers=[answer.server for answer in answers],
            spent_prompt_tokens=[answer.spent.prompt_tokens for answer in answers],
            spent_completion_tokens=[answer.spent.completion_tokens for answer in answers],
        ).scalars()
        self._let_go(calls)
        return set(kept)

    def give_up(self, lost: Sequence[tuple[Call[Place], str, Spent]], state: Literal["failed", "quarantined"]) -> None:
        """Close calls without a text: `failed` is asked again by the next run, `quarantined` is not."""
        _run(
            self._results,
            "interest/give_up",
            state=state,
            call_keys=[call.key for call, _, _ in lost],
            errors=[error[:1000] for _, error, _ in lost],
            prompt_tokens=[spent.prompt_tokens for _, _, spent in lost],
            completion_tokens=[spent.completion_tokens for _, _, spent in lost],
        )
        self._let_go([call for call, _, _ in lost])

    def _let_go(self, calls: Sequence[Call[Place]]) -> None:
        """After the commit: whoever takes a lock must see what its last holder wrote."""
        for call in calls:
            self._claimed.pop(call.key, None)
        self._ended.extend(calls)

    def _unlock_ended(self) -> None:
        ended = [self._ended.popleft() for _ in range(len(self._ended))]
        if ended:
            _run(self._claims, "interest/unlock_calls", locks=[self._lock(call) for call in ended])

    def _lock(self, call: Call[Place]) -> int:
        """Advisory lock number of the text, not of the call: learners that read different profiles ask different
        questions for one text, and the second answer would be thrown away."""
        text = json.dumps([*self._subject.text(call), self._version])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], signed=True)


def _run(connection: Connection, name: str, **parameters: Any) -> Any:
    return connection.execute(query(name), parameters)
