"""What the variants of the paper's Table 6 cost, estimated from a sample of users. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from liber_tasks.interest.prompts import Kind, Knowledge
from liber_tasks.interest.server.answers import Answer

Name = Literal["full", "no_shift", "length_100", "length_20"]
LENGTHS: dict[Name, int] = {"length_100": 100, "length_20": 20}


@dataclass(frozen=True)
class Variant:
    """A row of the table.

    Attributes:
        name: as in the report.
        label: as people read it.
        knowledge: what its texts are made with.
        kinds: of its calls.
    """

    name: Name
    label: str
    knowledge: Knowledge
    kinds: tuple[Kind, ...]


@dataclass(frozen=True)
class Totals:
    """Counts over the whole database; `partitioned_`: over users that have a partition."""

    users: int
    partitioned_users: int
    partitions: int
    shifts: int
    behaviors: int
    partitioned_behaviors: int

    def calls(self, name: Name, kind: Kind) -> int:
        """Calls of a variant: one a partition and one a pair of neighbours, or one at each behaviour."""
        if kind == "shift":
            return self.shifts if name == "full" else 0
        return self.behaviors if name in LENGTHS else self.partitions


@dataclass(frozen=True)
class Outcome:
    """What became of a question.

    Attributes:
        answer: None: it was lost.
        left_out: behaviours left out because the server's context is short.
        lost: the server failed on it, or refused it (or answered nothing usable), each after several tries.
    """

    answer: Answer | None
    left_out: int = 0
    lost: Literal["failed", "refused"] | None = None


@dataclass(frozen=True)
class Measured:
    """One user's calls of one kind.

    Attributes:
        calls: that the variant makes for the user, asked here or not.
        asked: how many of them the sample holds; some shifts of lost summaries are never asked.
        outcomes: of those that were asked.
    """

    calls: int
    asked: int
    outcomes: Sequence[Outcome]


@dataclass(frozen=True)
class VariantCost:
    """One variant. None: nothing to reckon it from, or the server does not tell.

    Attributes:
        variant: name.
        label: as people read it.
        calls: over all users, counted.
        calls_per_user: over all users, counted.
        calls_per_partitioned_user: over the users that have a partition, counted.
        tokens_per_prompt: as the server counts them, its chat template included.
        cached_tokens_per_prompt: of these, what the server had in its prefix cache.
        tokens_per_answer: likewise.
        seconds_per_call: latency.
        seconds_per_user: mean latency of a call x calls per user.
        seconds_per_user_error: standard error over the users drawn; of one user unknown.
        tokens_per_second: of prompts and answers together, in the seconds of a call.
        measured: calls answered.
        shortened: of these, prompts cut to the server's context.
        failed: calls the server failed on.
        refused: calls it refuses, or answers in no usable way.
        unasked: shifts that were not asked since a summary was lost.
    """

    variant: Name
    label: str
    calls: int
    calls_per_user: float
    calls_per_partitioned_user: float
    tokens_per_prompt: float | None
    cached_tokens_per_prompt: float | None
    tokens_per_answer: float | None
    seconds_per_call: float | None
    seconds_per_user: float | None
    seconds_per_user_error: float | None
    tokens_per_second: float | None
    measured: int
    shortened: int
    failed: int
    refused: int
    unasked: int


@dataclass(frozen=True)
class EfficiencyReport:
    """The table and how it was measured.

    Attributes:
        variants: rows.
        model: name sent to the server.
        server: its dialect, and the model as it names it; None: no call was answered.
        parameters: everything else that shapes a text, besides variant and length of a row.
        prompts: versions of the templates, by kind.
        users: in the database.
        partitioned_users: of these, with a partition.
        users_sampled: ids, drawn among users with two partitions.
        steps: at most so many calls of a user are measured of a variant that asks at each behaviour.
        seed: of users and of the order of calls.
        in_flight: calls at once.
        questions: put to the server; one that several variants ask in the same words was put once.
        seconds: wall time.
    """

    variants: tuple[VariantCost, ...]
    model: str
    server: str | None
    parameters: dict[str, Any]
    prompts: dict[str, str]
    users: int
    partitioned_users: int
    users_sampled: tuple[str, ...]
    steps: int
    seed: int
    in_flight: int
    questions: int
    seconds: float


def variants_of(knowledge: Knowledge) -> tuple[Variant, ...]:
    """The four rows, with the same model, domain, prompts and style."""
    whole = replace(knowledge, variant="full", length=None)
    per_step = (
        Variant(name, f"LLM (length={length})", replace(knowledge, variant="no_partition", length=length), ("summary",))
        for name, length in LENGTHS.items()
    )
    return (
        Variant("full", "LIBER", whole, ("summary", "shift")),
        Variant("no_shift", "LIBER without interest shift", replace(whole, variant="no_shift"), ("summary",)),
        *per_step,
    )


def steps_of(behaviors: int, most: int) -> list[int]:
    """At most so many of the steps 1..behaviors: the middles of equal stretches, so that all ages count alike."""
    count = min(behaviors, most)
    return [math.ceil((place + 0.5) * behaviors / count) for place in range(count)]


def cost_of(variant: Variant, totals: Totals, measured: Mapping[Kind, Mapping[int, Measured]]) -> VariantCost:
    """One row.

    Args:
        variant: of which.
        totals: of the database.
        measured: kind -> user -> calls.
    """
    calls = {kind: totals.calls(variant.name, kind) for kind in variant.kinds}
    per_user = {kind: count / totals.users for kind, count in calls.items()}
    every = sum(per_user.values())
    outcomes = [each for users in measured.values() for user in users.values() for each in user.outcomes]
    answers = [each.answer for each in outcomes if each.answer]

    def reckon(name: str) -> tuple[float, float | None] | None:
        values = {
            kind: {key: (user.calls, [getattr(each.answer, name, None) for each in user.outcomes if each.answer])
                   for key, user in users.items()}
            for kind, users in measured.items()
        }  # fmt: skip
        return estimate(per_user, values)

    def mean(name: str) -> float | None:
        found = reckon(name)
        return found[0] / every if found else None

    seconds = reckon("latency_seconds")
    tokens_in, tokens_out, latency = mean("prompt_tokens"), mean("completion_tokens"), mean("latency_seconds")
    known = tokens_in is not None and tokens_out is not None and latency
    partitioned = totals.partitioned_behaviors if variant.name in LENGTHS else sum(calls.values())
    asked = sum(user.asked for users in measured.values() for user in users.values())
    return VariantCost(
        variant=variant.name,
        label=variant.label,
        calls=sum(calls.values()),
        calls_per_user=every,
        calls_per_partitioned_user=partitioned / totals.partitioned_users,
        tokens_per_prompt=tokens_in,
        cached_tokens_per_prompt=mean("cached_tokens"),
        tokens_per_answer=tokens_out,
        seconds_per_call=latency,
        seconds_per_user=seconds[0] if seconds else None,
        seconds_per_user_error=seconds[1] if seconds else None,
        tokens_per_second=(tokens_in + tokens_out) / latency if known else None,  # type: ignore[operator]
        measured=len(answers),
        shortened=sum(each.left_out > 0 for each in outcomes if each.answer),
        failed=sum(each.lost == "failed" for each in outcomes),
        refused=sum(each.lost == "refused" for each in outcomes),
        unasked=asked - len(outcomes),
    )


def estimate(
    calls_per_user: Mapping[Kind, float], values: Mapping[Kind, Mapping[int, tuple[int, Sequence[float | None]]]]
) -> tuple[float, float | None] | None:
    """Sum over kinds of calls per user x mean value of a call, and its standard error over users.

    Ratio estimate of a sample of clusters (Cochran, Sampling Techniques, chapter 6): a user weighs as
    many calls as the variant makes for that user, however many of them were measured.

    Args:
        calls_per_user: by kind, over the whole database.
        values: kind -> user -> (calls the variant makes for the user, values of those measured).

    Returns:
        The sum, and its error (None with one user); None: of some kind no value is known, or one is missing.
    """
    means: dict[Kind, dict[int, tuple[int, float]]] = {}
    for kind in calls_per_user:
        means[kind] = {}
        for user, (weight, found) in values.get(kind, {}).items():
            known = [value for value in found if value is not None]
            if len(known) < len(found):
                return None
            if known:
                means[kind][user] = (weight, sum(known) / len(known))
        if not means[kind]:
            return None
    users = sorted({user for of_kind in means.values() for user in of_kind})
    total, residuals = 0.0, dict.fromkeys(users, 0.0)
    for kind, of_kind in means.items():
        weights = sum(weight for weight, _ in of_kind.values())
        mean = sum(weight * value for weight, value in of_kind.values()) / weights
        total += calls_per_user[kind] * mean
        for user, (weight, value) in of_kind.items():
            residuals[user] += calls_per_user[kind] * weight * (value - mean) * len(of_kind) / weights
    count = len(users)
    error = math.sqrt(sum(each**2 for each in residuals.values()) / (count * (count - 1))) if count > 1 else None
    return total, error
