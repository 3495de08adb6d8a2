"""Inputs of the interest summary klg^s_j = LLM(prompt_s, P_j) (paper, section 3.3.1, Eq. 2). Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from liber_tasks.interest.prompts import HISTORY_CHARACTERS, TITLE_CHARACTERS, Domain, Knowledge, quote

FACTS = 4  # attribute values named as liked or disliked


@dataclass(frozen=True)
class Behavior:
    """One behaviour of a partition with its item.

    Attributes:
        title: of the item; its id where it has none.
        attributes: of the item.
        kind: play, rating, purchase or click.
        rating: in the catalogue's own scale.
        play_seconds: how long it was played.
    """

    title: str
    attributes: Mapping[str, Any]
    kind: str
    rating: float | None
    play_seconds: float | None


def summary_prompt(knowledge: Knowledge, user: Mapping[str, Any], behaviors: Sequence[Behavior]) -> str:
    """The prompt for one partition.

    Args:
        knowledge: template and domain.
        user: attributes of the user.
        behaviors: the partition, oldest first.
    """
    domain = knowledge.domain
    return knowledge.templates["summary"].render(
        items=domain.items,
        factors=domain.factors,
        user=", ".join(domain.fill(domain.user, user)) or "unknown",
        history=_history(domain, behaviors),
        facts=_facts(domain, behaviors),
    )


def _response(domain: Domain, behavior: Behavior) -> str:
    values = {
        "rating": None if behavior.rating is None else f"{behavior.rating:g}",
        "minutes": None if behavior.play_seconds is None else f"{behavior.play_seconds / 60:.0f}",
    }
    return "".join(domain.fill(domain.response[behavior.kind], values)) or behavior.kind


def _history(domain: Domain, behaviors: Sequence[Behavior]) -> str:
    """A line for each response, best rated first, with its items, oldest first: fewer tokens than a line an item.

    The newest items that fit are kept; how many are left out is said.
    """
    groups: dict[str, list[str]] = {}
    size = left_out = 0
    rated = sorted(behaviors, key=lambda behavior: -(behavior.rating or 0))
    for behavior in rated:
        groups[_response(domain, behavior)] = []
    for behavior in reversed(behaviors):
        title = quote("".join(domain.fill(domain.item, {**behavior.attributes, "title": behavior.title},
                                          TITLE_CHARACTERS)), 2 * TITLE_CHARACTERS)  # fmt: skip
        size += len(title) + 2
        if size > HISTORY_CHARACTERS:
            left_out += 1
        else:
            groups[_response(domain, behavior)].insert(0, title)
    lines = [f"{response}: {', '.join(titles)}" for response, titles in groups.items() if titles]
    return "\n".join(lines + [f"{left_out} older ones are left out."] * (left_out > 0))


def _facts(domain: Domain, behaviors: Sequence[Behavior]) -> str:
    """The counted attribute of liked and disliked items. What was not rated was chosen, so it counts as liked."""
    liked: Counter[str] = Counter()
    disliked: Counter[str] = Counter()
    for behavior in behaviors:
        words = _words(domain, behavior.attributes.get(domain.facts))
        if behavior.rating is None or behavior.rating >= domain.liked:
            liked.update(words)
        elif behavior.rating <= domain.disliked:
            disliked.update(words)
    found = (("Liked", liked), ("Disliked", disliked))
    return "\n".join(f"{label} {domain.facts}: {_most(counts)}." for label, counts in found if counts)


def _words(domain: Domain, values: Any) -> list[str]:
    plain = values if isinstance(values, list) else [values]
    return [word for value in plain for word in domain.fill(["{value}"], {"value": value})]


def _most(counts: Counter[str]) -> str:
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{quote(word, 40)[1:-1]} ({n})" for word, n in ordered[:FACTS])
