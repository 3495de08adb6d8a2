"""What may be said about a study: sentences that follow from its numbers. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from liber_tasks.evaluation.compare import Comparison, find
from liber_tasks.evaluation.studies import BASE, Study

MIN_SEEDS = 5
NAMES = {
    "random": "random vectors",
    "raw_text": "the partitions' raw text",
    "genres": "genre counts",
    "shuffled": "the same vectors shuffled",
    "genre": "genres",
    "title": "titles and attributes",
}


@dataclass(frozen=True)
class Verdict:
    """Whether a lift is claimed.

    Attributes:
        backbone: of which.
        claimed: the lower bound of the lift is above zero, and so is that of its difference to each control.
        sentence: the same for people, with the numbers.
    """

    backbone: str
    claimed: bool
    sentence: str


def verdict(study: Study, backbone: str, comparisons: Sequence[Comparison], seeds: int) -> Verdict:
    """The verdict on `study.treated` for one backbone; the study has controls."""
    treated = str(study.treated)
    lift = find(comparisons, backbone, treated, BASE)
    if lift is None:
        return Verdict(backbone, False, f"{backbone}: no lift is claimed: there is nothing to compare.")
    if seeds < MIN_SEEDS:
        return Verdict(
            backbone, False,
            f"{backbone}: no lift is claimed: {seeds} seeds are too few to say anything, {MIN_SEEDS} are needed.",
        )  # fmt: skip
    against = {name: find(comparisons, backbone, treated, name) for name in study.controls}
    beaten = {name: each for name, each in against.items() if above_zero(each)}
    others = [name for name in study.controls if name not in beaten]
    if above_zero(lift) and not others:
        parts = ", ".join(f"{NAMES.get(name, name)} by {_number(each)}" for name, each in beaten.items())
        return Verdict(
            backbone, True,
            f"{backbone}: the knowledge helps: {treated} has {_number(lift)} AUC over its backbone, and it beats each "
            f"control: {parts}.",
        )  # fmt: skip
    reasons = []
    if not above_zero(lift):
        reasons.append(f"{treated} has {_number(lift)} AUC over its backbone, whose lower bound is not above zero")
    else:
        reasons.append(f"{treated} has {_number(lift)} AUC over its backbone, but that is not the knowledge's doing")
    if others:
        parts = ", ".join(f"{NAMES.get(name, name)} ({_number(against[name])})" for name in others)
        reasons.append(f"it does not beat {parts}")
    return Verdict(
        backbone, False, f"{backbone}: the knowledge at hand does not help, no lift is claimed: {'; '.join(reasons)}."
    )


def sentences(study: Study, backbones: Sequence[str], comparisons: Sequence[Comparison], seeds: int) -> list[str]:
    """What to say of a study, in the order of the backbones."""
    if study.treated is not None:
        return [verdict(study, backbone, comparisons, seeds).sentence for backbone in backbones]
    if not comparisons:
        return ["Nothing could be compared."]
    found = []
    above = [each for each in comparisons if above_zero(each)]
    below = [each for each in comparisons if each.high is not None and each.high < 0]
    for chosen, word in ((above, "above"), (below, "below")):
        if chosen:
            parts = ", ".join(f"{_pair(each)} {_number(each)}" for each in chosen)
            found.append(f"The user-level interval lies {word} zero for {parts}.")
    unclear = [each for each in comparisons if each not in above and each not in below]
    if unclear:
        parts = ", ".join(f"{_pair(each)} {_number(each)}" for each in unclear)
        found.append(f"No difference can be told from none for {parts}.")
    if seeds < MIN_SEEDS:
        found.append(f"{seeds} seeds are too few for a claim, {MIN_SEEDS} are needed.")
    found.append("A lift is claimed by `liber evaluate controls` and `memory` only, which ask the controls too.")
    return found


def above_zero(comparison: Comparison | None) -> bool:
    """Whether the lower bound over users is above zero."""
    return comparison is not None and comparison.low is not None and comparison.low > 0


def _pair(each: Comparison) -> str:
    return f"{each.backbone} {each.variant} - {each.against}"


def _number(each: Comparison | None) -> str:
    if each is None:
        return "could not be compared"
    if each.low is None or each.high is None:
        return f"{each.lift:+.4f}"
    return f"{each.lift:+.4f} [{each.low:+.4f}, {each.high:+.4f}]"
