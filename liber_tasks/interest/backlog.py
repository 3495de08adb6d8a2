"""Which call can be made next: a summary at once, a shift when both of its summaries exist. No I/O of its own."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from liber_tasks.interest.behavior import Behavior
from liber_tasks.interest.prompts import Call, Kind, Knowledge, call_key
from liber_tasks.interest.shift import shift_prompt
from liber_tasks.interest.summary import summary_prompt


@dataclass(frozen=True)
class Partition:
    """What is known of P_j under one knowledge version.

    Attributes:
        number: j, from 1.
        summary: text; None until learnt.
        has_shift: its shift is learnt.
        behaviors: oldest first; only where the summary is missing.
    """

    number: int
    summary: str | None
    has_shift: bool
    behaviors: tuple[Behavior, ...] = ()


@dataclass(frozen=True)
class UserWork:
    """One user's partitions in order, and the keys of calls that were set aside."""

    user_key: int
    user_id: str
    attributes: Mapping[str, Any]
    partitions: tuple[Partition, ...]
    quarantined: frozenset[str] = frozenset()


@dataclass
class _Open:
    """A user some of whose calls are not answered yet."""

    work: UserWork
    texts: dict[int, str]
    missing_shifts: set[int]
    unanswered: int = field(default=0)


class Backlog:
    """Calls in the order users come; shifts first, so that a user is finished before many are begun."""

    def __init__(self, knowledge: Knowledge) -> None:
        """Begin with nobody."""
        self._knowledge = knowledge
        self._open: dict[int, _Open] = {}
        self._ready: deque[Call] = deque()

    def take(self) -> Call | None:
        """The next call that can be made now; None when there is none (some may follow from answers or users)."""
        return self._ready.popleft() if self._ready else None

    def put_back(self, call: Call) -> None:
        """It was taken, and cannot be made yet."""
        self._ready.appendleft(call)

    def answered(self, done: Call, text: str) -> None:
        """A text was stored; may make one or two shifts possible."""
        user = self._open[done.user_key]
        if done.kind == "summary":
            user.texts[done.partition_no] = text
            for number in (done.partition_no + 1, done.partition_no):
                self._offer_shift(user, number)
        self._close(user)

    def dropped(self, lost: Call) -> None:
        """A call brought no text in this run; what depends on it is not asked."""
        self._close(self._open[lost.user_key])

    def begin(self, work: UserWork) -> None:
        """Add a user's calls: memory is bounded by the users whose calls are not all answered."""
        texts = {part.number: part.summary for part in work.partitions if part.summary is not None}
        shifts = set()
        if self._knowledge.has_shift:
            shifts = {part.number for part in work.partitions if part.number > 1 and not part.has_shift}
        user = self._open[work.user_key] = _Open(work, texts, shifts)
        for number in sorted(shifts, reverse=True):
            self._offer_shift(user, number)
        for part in work.partitions:
            if part.summary is None:
                self._offer(user, part.number, "summary", part.behaviors)
        if not user.unanswered:
            del self._open[work.user_key]

    def _offer_shift(self, user: _Open, number: int) -> None:
        if number in user.missing_shifts and number in user.texts and number - 1 in user.texts:
            user.missing_shifts.discard(number)
            self._offer(user, number, "shift", ())

    def _offer(self, user: _Open, number: int, kind: Kind, behaviors: tuple[Behavior, ...]) -> None:
        work, knowledge = user.work, self._knowledge
        if kind == "summary":
            prompt = summary_prompt(knowledge, work.attributes, behaviors)
        else:
            prompt = shift_prompt(knowledge, user.texts[number - 1], user.texts[number])
        key = call_key(knowledge, work.user_id, number, kind, prompt)
        if key in work.quarantined:
            return

        def shortened(left_out: int) -> str:
            return summary_prompt(knowledge, work.attributes, behaviors, left_out=left_out) if left_out else prompt

        user.unanswered += 1
        new = Call(key, work.user_id, work.user_key, number, kind, prompt, knowledge.max_tokens[kind], shortened,
                   len(behaviors))  # fmt: skip
        if kind == "shift":
            self._ready.appendleft(new)
        else:
            self._ready.append(new)

    def _close(self, user: _Open) -> None:
        user.unanswered -= 1
        if not user.unanswered:
            del self._open[user.work.user_key]
