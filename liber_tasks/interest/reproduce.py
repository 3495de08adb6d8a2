"""The exact prompt of a stored text, rendered again from what the database keeps.

Behaviours and summaries never change; profiles do, and keep their past states. Which states a learner saw is not
written down: it read them some time before its call was claimed, so the states before the claim are tried first,
newest first, and the digest kept with the text decides. Changes become visible in the order of their moments and a
learner reads in one snapshot, so one of these states is what it saw. Texts about items keep no past: a prompt that
shows them (style described) comes back as long as none of them was replaced.
"""

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError, LiberError
from liber_tasks.interest.behavior import Behavior
from liber_tasks.interest.inputs import users_named
from liber_tasks.interest.prompts import Kind, Knowledge, digest, knowledge_of
from liber_tasks.interest.shift import shift_prompt
from liber_tasks.interest.summary import summary_prompt


@dataclass(frozen=True, kw_only=True)
class ReproducedPrompt:
    """A prompt whose digest equals the one kept with its text.

    Attributes:
        knowledge_version: of the text.
        model: that was asked.
        parameters: of the knowledge version.
        prompt: the user message, the only one that is sent.
        input_sha256: of the prompt.
        text: the answer that is stored.
        asked_at: when the call was claimed.
    """

    knowledge_version: str
    model: str
    parameters: Mapping[str, Any]
    prompt: str
    input_sha256: str
    text: str
    asked_at: datetime


@dataclass(frozen=True, kw_only=True)
class Reproduced(ReproducedPrompt):
    """The prompt of a text about a partition.

    Attributes:
        user_id: whose partition it is about.
        partition_no: j of P_j.
        kind: summary or shift.
        profiles_until: the profiles shown held until this moment; None: they are the current ones, or none is shown.
    """

    user_id: str
    partition_no: int
    kind: Kind
    profiles_until: datetime | None


def kept_with(learnt: Any) -> dict[str, Any]:
    """What the row of a stored text says of its prompt: fields of `ReproducedPrompt` but the prompt itself."""
    names = ("knowledge_version", "model", "parameters", "input_sha256", "text", "asked_at")
    return {name: getattr(learnt, name) for name in names}


@dataclass(frozen=True)
class States:
    """What one profile said in the course of time.

    Attributes:
        ends: when each past state ended, ascending.
        values: past states, then the current one: one more than `ends`.
    """

    ends: tuple[datetime, ...]
    values: tuple[Any, ...]

    def until(self, moment: datetime | None) -> Any:
        """The state just before a moment; None: the current one."""
        return self.values[-1 if moment is None else bisect.bisect_left(self.ends, moment)]


def reproduce(
    engine: Engine, user_id: str, partition_no: int, kind: Kind, *, knowledge_version: str | None = None
) -> Reproduced:
    """Render the prompt of a stored summary or shift again, byte for byte.

    Args:
        engine: LIBER database.
        user_id: whose text it is.
        partition_no: j of P_j.
        kind: summary or shift.
        knowledge_version: of the text; None: the newest one that this text was learnt with.

    Raises:
        InputError: there is no such user, or no such text.
        LiberError: what the text was made with was not kept, or no profile state that is kept gives the prompt's
            digest.
    """
    with (
        database_errors(),
        engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
    ):
        named = {"user_id": user_id, "partition_no": partition_no, "kind": kind, "knowledge_version": knowledge_version}
        learnt = connection.execute(query("interest/learnt_text"), named).first()
        if learnt is None:
            users_named(engine, [user_id])
            removed_at = connection.execute(query("retention/removed"), named).scalar_one_or_none()
            if removed_at is not None:
                raise InputError(
                    f"Partition {partition_no} of user {user_id!r} has no {kind}: it was removed by retention on "
                    f"{removed_at:%Y-%m-%d}."
                )
            version = f" of version {knowledge_version!r}" if knowledge_version else ""
            raise InputError(
                f"Partition {partition_no} of user {user_id!r} has no {kind}{version}: see `liber timeline {user_id}` "
                "for what is learnt, or run `liber learn`."
            )
        what = f"The prompt of {kind} {partition_no} of user {user_id!r}"
        knowledge = _made_with(what, learnt)
        offers = _summary_prompts if kind == "summary" else _shift_prompts
        tried = 0
        for until, prompt in offers(connection, knowledge, learnt, partition_no):
            tried += 1
            if digest(prompt) == learnt.input_sha256:
                return Reproduced(
                    user_id=user_id, partition_no=partition_no, kind=kind, profiles_until=until, prompt=prompt,
                    **kept_with(learnt),
                )  # fmt: skip
    source = f"any of the {tried} profile states kept" if kind == "summary" else "the two summaries stored"
    raise LiberError(
        f"{what} cannot be reproduced: with the template and domain pack kept with it, {source} does not give its "
        f"digest {learnt.input_sha256[:8]}. A profile changed before its past was kept, a text about an item was "
        "replaced, or the code that words prompts changed: install the release that was in use on "
        f"{learnt.asked_at:%Y-%m-%d}."
    )


def _made_with(what: str, learnt: Any) -> Knowledge:
    """Template, domain pack and style of the text, as kept with its knowledge version."""
    if learnt.recipe is None:
        raise LiberError(
            f"{what} cannot be reproduced: version {learnt.knowledge_version!r} was made before templates and domain "
            f"packs were kept with it, or elsewhere. Install the release that was in use on {learnt.asked_at:%Y-%m-%d}."
        )
    return knowledge_of(learnt.model, learnt.parameters, learnt.recipe)


def _summary_prompts(
    connection: Connection, knowledge: Knowledge, learnt: Any, partition_no: int
) -> Iterator[tuple[datetime | None, str]]:
    """The prompt with each state of the profiles, likeliest first, and until when that state held."""
    place = {"user_key": learnt.user_key, "partition_no": partition_no, "length": knowledge.length}
    behaviors = list(connection.execute(query("interest/partition_behaviors"), place))
    keys: dict[str, Any] = {"item_keys": sorted({row.item_key for row in behaviors})}
    of_item: dict[int, list[Any]] = {}
    for row in connection.execute(query("interest/item_states"), keys):
        of_item.setdefault(row.item_key, []).append((row.valid_to, (row.title, row.attributes)))
    about = connection.execute(query("items/texts"), keys | {"items": knowledge.items})
    said = {row.item_key: row.text for row in about}
    items = {key: _states(rows) for key, rows in of_item.items()}
    profile = connection.execute(query("interest/user_states"), {"user_key": learnt.user_key})
    user = _states([(row.valid_to, row.attributes) for row in profile])
    for until in _likeliest_first((user, *items.values()), learnt.asked_at):
        shown = []
        for row in behaviors:
            title, attributes = items[row.item_key].until(until)
            words = said.get(row.item_key, "")
            shown.append(Behavior(title, attributes, row.kind, row.rating, row.play_seconds, words))
        yield until, summary_prompt(knowledge, user.until(until), shown, left_out=learnt.left_out)


def _shift_prompts(
    connection: Connection, knowledge: Knowledge, learnt: Any, partition_no: int
) -> Iterator[tuple[None, str]]:
    """The one prompt: summaries never change."""
    place = {"user_key": learnt.user_key, "partition_no": partition_no, "knowledge_version": learnt.knowledge_version}
    summaries = connection.execute(query("interest/two_summaries"), place).scalars().all()
    if len(summaries) == 2:
        yield None, shift_prompt(knowledge, *summaries)


def _states(rows: Sequence[tuple[datetime | None, Any]]) -> States:
    return States(tuple(end for end, _ in rows if end is not None), tuple(value for _, value in rows))


def _likeliest_first(profiles: Sequence[States], asked_at: datetime) -> Iterator[datetime | None]:
    """The end of each joint state of some profiles: of the one at `asked_at`, of those before it newest first, and,
    should a clock have been wrong, of those after it."""
    ends: list[datetime | None] = [*sorted({end for states in profiles for end in states.ends})]
    at = bisect.bisect_right([end for end in ends if end is not None], asked_at)
    ends.append(None)
    yield from reversed(ends[: at + 1])
    yield from ends[at + 1 :]
