"""What `liber evaluate memory` trains and which pairs it compares. Plain data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from liber_tasks.errors import InputError
from liber_tasks.evaluation.item_sources import ItemSource
from liber_tasks.evaluation.studies import BASE, MEMORY, Arm, Study
from liber_tasks.fusion.options import (
    AFFINITY,
    DENSE_PROFILE,
    GENRE,
    LEXICAL_PROFILE,
    POOLED,
    PROFILE,
    TARGET_ATTENTION,
    WORDS,
)

FOLDS = 5
BACKBONES = ("dien", "din", "dcnv2")
Split = Literal["time", "users"]
SPLITS: dict[Split, str] = {
    "time": "The samples are split by time, 9:1; the latest tenth before the cut validates.",
    "users": f"Users are split into {FOLDS} folds; each is tested by models of the other users, a tenth of which "
    "validates; a test user's id is unknown to the model.",
}
EVERYTHING = (POOLED, TARGET_ATTENTION, PROFILE, WORDS, GENRE, AFFINITY)


@dataclass(frozen=True)
class MemoryArm(Arm):
    """An arm, and what its items' texts are."""

    items: ItemSource = "knowledge"


ARMS = (
    MemoryArm(BASE),
    MemoryArm(POOLED, (POOLED,)),
    MemoryArm(TARGET_ATTENTION, (TARGET_ATTENTION,)),
    MemoryArm(PROFILE, (PROFILE,)),
    MemoryArm("profile_lexical", (LEXICAL_PROFILE,)),
    MemoryArm("profile_dense", (DENSE_PROFILE,)),
    MemoryArm(WORDS, (WORDS,)),
    MemoryArm(GENRE, (GENRE,)),
    MemoryArm("title", (PROFILE,), items="title"),
    MemoryArm("shuffled", (PROFILE,), items="shuffled"),
    MemoryArm("random", (PROFILE,), items="random"),
    MemoryArm(AFFINITY, (AFFINITY,)),
    MemoryArm("affinity_profile", (AFFINITY, PROFILE)),
    MemoryArm("all", EVERYTHING),
)
CONTROLS = (GENRE, "title", "shuffled", "random")
STUDY = Study(
    MEMORY,
    "What the partition memory is made of",
    ARMS,
    (
        *((arm.name, BASE) for arm in ARMS[1:]),
        *((PROFILE, name) for name in CONTROLS),
        ("affinity_profile", AFFINITY),
        ("all", AFFINITY),
    ),
    controls=CONTROLS,
    treated=PROFILE,
    backbones=BACKBONES,
)


def arms_of(variants: Sequence[str]) -> tuple[MemoryArm, ...]:
    """The arms of these names, of none all; the base is always among them.

    Raises:
        InputError: there is no such arm.
    """
    unknown = [name for name in variants if name not in {arm.name for arm in ARMS}]
    if unknown:
        raise InputError(f"There is no variant {unknown[0]!r}: choose of {', '.join(arm.name for arm in ARMS)}.")
    return tuple(arm for arm in ARMS if not variants or arm.name in (BASE, *variants))


def pairs_of(arms: Sequence[MemoryArm]) -> tuple[tuple[str, str], ...]:
    """The pairs both of whose arms are there."""
    there = {arm.name for arm in arms}
    return tuple(pair for pair in STUDY.pairs if set(pair) <= there)
