"""What the LLM said about the items of a partition, shortened for its prompt. Pure."""

from collections.abc import Sequence

from liber_tasks.interest.behavior import Behavior
from liber_tasks.interest.wording.domain import Domain
from liber_tasks.interest.wording.facts import NAME_CHARACTERS, dislikes, likes
from liber_tasks.interest.wording.untrusted import quote

WORDS = 20  # of each text, from its beginning
EXCERPT_CHARACTERS = 200  # should a word be one without end


def descriptions(domain: Domain, behaviors: Sequence[Behavior], most: int) -> str:
    """A line for each liked and each disliked item with its excerpt, oldest first.

    A model wrote the texts, from untrusted titles, so they are quoted as titles are. An item that came again is where
    it came last.

    Args:
        domain: what is liked and disliked.
        behaviors: oldest first.
        most: characters of all lines together; the oldest items are left out.
    """
    liked, disliked = (set(map(id, chosen(domain, behaviors))) for chosen in (likes, dislikes))
    lines: dict[str, str] = {}  # by title
    size = 0
    for behavior in reversed(behaviors):
        leaning = "Liked" if id(behavior) in liked else "Disliked" if id(behavior) in disliked else None
        title = quote(behavior.title, NAME_CHARACTERS)
        if leaning is None or not behavior.said or title in lines:
            continue
        line = f"{leaning} {title}: {_excerpt(behavior.said)}"
        size += len(line) + 1
        if size > most:
            break
        lines[title] = line
    return "\n".join(reversed(lines.values()))


def _excerpt(said: str) -> str:
    words = said.split()
    return quote(" ".join(words[:WORDS]) + ("…" if len(words) > WORDS else ""), EXCERPT_CHARACTERS)
