"""What each study trains and which pairs it compares. Plain data."""

from dataclasses import dataclass
from typing import Literal

from liber_tasks.backbones.vocabulary import MAX_HISTORY
from liber_tasks.errors import InputError
from liber_tasks.fusion.options import (
    AFFINITY,
    BASIC,
    DENSE,
    FUSED,
    GENRE,
    MEAN,
    POOLED,
    PROFILE,
    STATISTICS,
    TARGET_ATTENTION,
    check_options,
)

Learnt = Literal["full", "no_shift", "no_partition"]  # settings.learn_variant
Source = Literal["knowledge", "random", "raw_text", "genres", "shuffled"]  # evaluation.sources

BASE, LIBER = "base", "liber"
BARE = f"no_{STATISTICS}"
MEMORY = "memory"  # see `memory.run_memory`
TABLE7 = "table7"  # trains nothing: see `run.run_table7`
HISTORIES = (5, 10, 20, 50, 100)
EVERYTHING = (POOLED, TARGET_ATTENTION, PROFILE, AFFINITY)


@dataclass(frozen=True)
class Arm:
    """One thing to train with every backbone and seed.

    Attributes:
        name: in the report.
        more: names in `fusion.options`, besides `basic`.
        source: where partition vectors come from.
        learnt: what the texts behind them were made with.
        max_history: behaviours that the backbone sees.
        basic: what it reads in any case.
    """

    name: str
    more: tuple[str, ...] = ()
    source: Source = "knowledge"
    learnt: Learnt = "full"
    max_history: int = MAX_HISTORY
    basic: tuple[str, ...] = BASIC

    @property
    def options(self) -> tuple[str, ...]:
        """Everything it reads, in the order of `fusion.options`."""
        return check_options({*self.basic, *self.more})

    @property
    def reads_vectors(self) -> bool:
        """Whether it reads partition vectors."""
        return bool(FUSED & set(self.options))


@dataclass(frozen=True)
class Study:
    """Arms and pairs of them.

    Attributes:
        name: of the command.
        title: of the report.
        arms: in the order of the report.
        pairs: (arm, against): each is tested; an arm's first pair is the lift in its row.
        controls: arms that `treated` has to beat before a lift may be claimed.
        treated: the arm a claim is about; None: the study makes none.
        backbones: when none are given; empty: all.
    """

    name: str
    title: str
    arms: tuple[Arm, ...]
    pairs: tuple[tuple[str, str], ...]
    controls: tuple[str, ...] = ()
    treated: str | None = None
    backbones: tuple[str, ...] = ("dien",)

    @property
    def options(self) -> tuple[str, ...]:
        """Options of all arms together that need columns of their own in the samples, for `load`."""
        return tuple(name for name in (TARGET_ATTENTION, *DENSE) if any(name in arm.options for arm in self.arms))


def _against_base(arms: tuple[Arm, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((arm.name, BASE) for arm in arms if arm.name != BASE)


_TABLE2 = (Arm(BASE), Arm(LIBER, (POOLED,)))
_CONTROLS = (
    *_TABLE2,
    Arm("random", (POOLED,), source="random"),
    Arm("raw_text", (POOLED,), source="raw_text"),
    Arm("genres", (POOLED,), source="genres"),
    Arm("shuffled", (POOLED,), source="shuffled"),
)
_FIGURE4 = (
    *_TABLE2,
    Arm("no_partition", (POOLED,), learnt="no_partition"),
    Arm("no_shift", (POOLED,), learnt="no_shift"),
    Arm("mean", (MEAN,)),
)
_ABLATION = (
    Arm(BASE),
    Arm(POOLED, (POOLED,)),
    Arm(TARGET_ATTENTION, (TARGET_ATTENTION,)),
    Arm(PROFILE, (PROFILE,)),
    Arm(GENRE, (GENRE,)),
    Arm(AFFINITY, (AFFINITY,)),
    Arm(BARE, basic=()),
    Arm(f"{AFFINITY}+{PROFILE}", (AFFINITY, PROFILE)),
    Arm("everything", EVERYTHING),
)
_CONTROL_NAMES = tuple(arm.name for arm in _CONTROLS[2:])

STUDIES = {
    study.name: study
    for study in (
        Study("table2", "Table 2: LIBER with each backbone", _TABLE2, _against_base(_TABLE2), backbones=()),
        Study(
            "controls",
            "Controls: is it the knowledge?",
            _CONTROLS,
            (*_against_base(_CONTROLS), *((LIBER, name) for name in _CONTROL_NAMES)),
            controls=_CONTROL_NAMES,
            treated=LIBER,
        ),
        Study(
            "figure4",
            "Figure 4: what each part of LIBER brings",
            _FIGURE4,
            (*_against_base(_FIGURE4), *((arm.name, LIBER) for arm in _FIGURE4[2:])),
        ),
        Study(
            "ablation",
            "Ablation: the options beyond the paper",
            _ABLATION,
            (*_against_base(_ABLATION), (PROFILE, GENRE), (f"{AFFINITY}+{PROFILE}", AFFINITY)),
        ),
        Study(
            "figure1",
            "Figure 1: AUC by length of the history",
            tuple(
                Arm(f"{arm.name}_{length}", arm.more, max_history=length, basic=())
                for length in HISTORIES
                for arm in _TABLE2
            ),
            tuple((f"{LIBER}_{length}", f"{BASE}_{length}") for length in HISTORIES),
        ),
    )
}


def study(name: str) -> Study:
    """The study of that name.

    Raises:
        InputError: there is none.
    """
    if name not in STUDIES:
        raise InputError(f"There is no study {name!r}: choose one of {', '.join(STUDIES)}, {MEMORY} or {TABLE7}.")
    return STUDIES[name]
