"""Inputs of the interest summary klg^s_j = LLM(prompt_s, P_j) (paper, section 3.3.1, Eq. 2). Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from liber_tasks.interest.behavior import Behavior
from liber_tasks.interest.prompts import HISTORY_CHARACTERS, TITLE_CHARACTERS, Knowledge
from liber_tasks.interest.wording.descriptions import descriptions
from liber_tasks.interest.wording.domain import Domain
from liber_tasks.interest.wording.facts import facts
from liber_tasks.interest.wording.untrusted import quote


@dataclass(frozen=True)
class Shown:
    """A behaviour as the history words it."""

    title: str
    response: str
    rating: float


def summary_prompt(
    knowledge: Knowledge, user: Mapping[str, Any], behaviors: Sequence[Behavior], *, left_out: int = 0
) -> str:
    """The prompt for one partition.

    Args:
        knowledge: template, domain and style.
        user: attributes of the user.
        behaviors: the partition, oldest first.
        left_out: oldest behaviours that the history leaves out, and says so; facts are computed from all, but what was
            said about an item goes with it.
    """
    domain = knowledge.domain
    write = _listed if knowledge.style == "titles" else _grouped
    said = [facts(domain, behaviors)] if knowledge.style != "titles" else []
    if knowledge.style == "described":
        said.append(descriptions(domain, behaviors[left_out:], HISTORY_CHARACTERS))
    return knowledge.templates["summary"].render(
        items=domain.items,
        factors=domain.factors,
        user=", ".join(domain.fill(domain.user, user)) or "unknown",
        history=_history(domain, behaviors, left_out, write),
        facts="\n".join(filter(None, said)),
    )


def _history(
    domain: Domain, behaviors: Sequence[Behavior], left_out: int, write: Callable[[Sequence[Shown]], list[str]]
) -> str:
    """The newest behaviours that fit, and how many are left out."""
    shown: list[Shown] = []
    size = 0
    for behavior in reversed(behaviors[left_out:]):
        each = Shown(item(domain, behavior), response(domain, behavior), behavior.rating or 0.0)
        size += len(each.title) + len(each.response) + 2
        if size > HISTORY_CHARACTERS:
            break
        shown.append(each)
    missing = len(behaviors) - len(shown)
    return "\n".join([*write(shown[::-1]), *([f"{missing} older ones are left out."] if missing else [])])


def _listed(shown: Sequence[Shown]) -> list[str]:
    """Items with their responses in the order of time, as in the paper's Figure 3."""
    return ["; ".join(f"{each.title} {each.response}" for each in shown)] if shown else []


def _grouped(shown: Sequence[Shown]) -> list[str]:
    """A line for each response, best rated first, with its items in the order of time: fewer tokens."""
    groups: dict[str, list[str]] = {}
    for each in sorted(shown, key=lambda each: -each.rating):
        groups.setdefault(each.response, []).append(each.title)
    return [f"{answer}: {', '.join(titles)}" for answer, titles in groups.items()]


def item(domain: Domain, behavior: Behavior) -> str:
    """How a prompt names the item: quoted, on one line."""
    values = {**behavior.attributes, "title": behavior.title}
    return quote("".join(domain.fill(domain.item, values, TITLE_CHARACTERS)), 2 * TITLE_CHARACTERS)


def response(domain: Domain, behavior: Behavior) -> str:
    """How a prompt names what the user did with it."""
    values = {
        "rating": None if behavior.rating is None else f"{behavior.rating:g}",
        "minutes": None if behavior.play_seconds is None else f"{behavior.play_seconds / 60:.0f}",
    }
    return "".join(domain.fill(getattr(domain.response, behavior.kind), values)) or behavior.kind
