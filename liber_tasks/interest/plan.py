"""What a backlog will cost: calls counted, tokens and hours reckoned from prompts and from the calls made before."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice

from sqlalchemy import Engine

from liber_tasks.db import query
from liber_tasks.interest.backlog import Backlog
from liber_tasks.interest.budget import Budget
from liber_tasks.interest.inputs import USERS_SIFTED, batches, pending, work
from liber_tasks.interest.prompts import KINDS, Kind, Knowledge

USERS_RENDERED = 200  # whose prompts are rendered; those of further users are reckoned alike
CHARACTERS_PER_TOKEN = 4.0  # of English text, where no call has been made yet


@dataclass(frozen=True)
class Cost:
    """What a run would do.

    Attributes:
        summaries: calls.
        shifts: calls.
        prompt_tokens: an estimate.
        completion_tokens: as long as answers were so far; before the first one the upper bound.
        hours: at the rate of the newest calls of this model; None: none was made yet.
    """

    summaries: int
    shifts: int
    prompt_tokens: int
    completion_tokens: int
    hours: float | None

    @property
    def calls(self) -> int:
        """Of both kinds."""
        return self.summaries + self.shifts


@dataclass(frozen=True)
class Experience:
    """What the newest calls of a model were like; None: unknown.

    Attributes:
        calls_per_second: of the whole server, as it was used.
        characters_per_token: of prompts.
        tokens: of an answer, by kind.
        summary_characters: length of a summary.
    """

    calls_per_second: float | None
    characters_per_token: float
    tokens: dict[Kind, float]
    summary_characters: float


def experience(engine: Engine, knowledge: Knowledge) -> Experience:
    """Of the newest calls of this model, whatever version they were made for."""
    with engine.connect() as connection:
        row = connection.execute(query("interest/rate"), {"model": knowledge.model}).one()
    per_token = row.characters_per_token or CHARACTERS_PER_TOKEN
    most = knowledge.max_tokens
    return Experience(
        calls_per_second=row.calls / row.seconds if row.seconds else None,
        characters_per_token=per_token,
        tokens={
            "summary": row.summary_tokens or most["summary"],
            "shift": row.shift_tokens or most["shift"],
        },
        summary_characters=row.summary_characters or most["summary"] * CHARACTERS_PER_TOKEN,
    )


def cost(engine: Engine, knowledge: Knowledge, user_keys: Sequence[int], budget: Budget) -> Cost:
    """Cost of what these users still miss, as far as the budget goes; nothing is asked, nothing is written.

    Calls are counted exactly. Prompts are rendered for the first users only and the rest is reckoned by their mean.
    """
    known = experience(engine, knowledge)
    missing = dict(zip(KINDS, pending(engine, knowledge, user_keys), strict=True))
    missing["summary"] -= _adoptable(engine, knowledge, user_keys)
    mean = _mean_characters(engine, knowledge, user_keys, known)
    calls = sum(missing.values())
    per_call = sum(missing[kind] * (mean[kind] / known.characters_per_token + known.tokens[kind]) for kind in KINDS)
    affordable = calls if budget.calls is None else min(calls, budget.calls)
    if budget.tokens is not None and per_call:
        affordable = min(affordable, int(budget.tokens / (per_call / calls)))
    if budget.seconds is not None and known.calls_per_second:
        affordable = min(affordable, int(budget.seconds * known.calls_per_second))
    share = affordable / calls if calls else 0.0
    summaries = round(missing["summary"] * share)
    made: dict[Kind, int] = {"summary": summaries, "shift": affordable - summaries}
    return Cost(
        summaries=made["summary"],
        shifts=made["shift"],
        prompt_tokens=round(sum(made[kind] * mean[kind] for kind in KINDS) / known.characters_per_token),
        completion_tokens=round(sum(made[kind] * known.tokens[kind] for kind in KINDS)),
        hours=affordable / known.calls_per_second / 3600 if known.calls_per_second else None,
    )


def _adoptable(engine: Engine, knowledge: Knowledge, user_keys: Sequence[int]) -> int:
    """Missing summaries that another version has in the same words: a run takes them over."""
    version = {"knowledge_version": knowledge.version, "summary_origin": knowledge.summary_origin}
    with engine.connect() as connection:
        return sum(
            connection.execute(query("interest/adoptable"), {"user_keys": keys, **version}).scalar_one()
            for keys in batches(user_keys, USERS_SIFTED)
        )


def _mean_characters(
    engine: Engine, knowledge: Knowledge, user_keys: Sequence[int], known: Experience
) -> dict[Kind, float]:
    """Mean length of the prompts of the first users that miss a text."""
    sizes: dict[Kind, list[int]] = {"summary": [], "shift": []}
    backlog = Backlog(knowledge)
    for user in islice(chain.from_iterable(work(engine, knowledge, user_keys)), USERS_RENDERED):
        backlog.begin(backlog.prepare(user))
    while call := backlog.take():
        sizes[call.kind].append(len(call.prompt))
        backlog.answered(call, "x" * round(known.summary_characters))
    return {kind: sum(lengths) / len(lengths) if lengths else 0.0 for kind, lengths in sizes.items()}
