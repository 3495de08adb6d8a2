"""Which call can be made next: a summary at once, a shift when both of its summaries exist. No I/O of its own."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from liber_tasks.interest.behavior import Behavior
from liber_tasks.interest.call import Call, PartitionPlace
from liber_tasks.interest.prompts import Kind, Knowledge, call_key
from liber_tasks.interest.shift import shift_prompt
from liber_tasks.interest.summary import summary_prompt

PartitionCall = Call[PartitionPlace]


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


@dataclass(frozen=True)
class Prepared:
    """A user with the calls that can be made at once; the later shifts wait for their summaries."""

    work: UserWork
    texts: dict[int, str]
    later_shifts: set[int]
    calls: list[PartitionCall]


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
        self._ready: deque[PartitionCall] = deque()

    @property
    def ready(self) -> int:
        """Calls that can be made now."""
        return len(self._ready)

    def take(self) -> PartitionCall | None:
        """The next call that can be made now; None when there is none (some may follow from answers or users)."""
        return self._ready.popleft() if self._ready else None

    def put_back(self, call: PartitionCall) -> None:
        """It was taken, and cannot be made yet."""
        self._ready.appendleft(call)

    def answered(self, done: PartitionCall, text: str) -> None:
        """A text was stored; may make one or two shifts possible."""
        user = self._open[done.place.user_key]
        if done.kind == "summary":
            user.texts[done.place.partition_no] = text
            for number in (done.place.partition_no + 1, done.place.partition_no):
                self._offer_shift(user, number)
        self._close(user)

    def dropped(self, lost: PartitionCall) -> None:
        """A call brought no text in this run; what depends on it is not asked."""
        self._close(self._open[lost.place.user_key])

    def prepare(self, work: UserWork) -> Prepared:
        """A user's calls that can be made at once, rendered; changes nothing, so any thread may."""
        knowledge = self._knowledge
        texts = {part.number: part.summary for part in work.partitions if part.summary is not None}
        shifts = set()
        if knowledge.has_shift:
            shifts = {part.number for part in work.partitions if part.number > 1 and not part.has_shift}
        possible = sorted((number for number in shifts if number in texts and number - 1 in texts), reverse=True)
        calls = [_shift_call(knowledge, work, number, texts) for number in possible]
        calls += [_summary_call(knowledge, work, part) for part in work.partitions if part.summary is None]
        return Prepared(work, texts, shifts - set(possible), calls)

    def begin(self, prepared: Prepared) -> None:
        """Add a user's calls: memory is bounded by the users whose calls are not all answered."""
        work = prepared.work
        user = self._open[work.user_key] = _Open(work, prepared.texts, prepared.later_shifts)
        for call in prepared.calls:
            self._offer(user, call)
        if not user.unanswered:
            del self._open[work.user_key]

    def _offer_shift(self, user: _Open, number: int) -> None:
        if number in user.missing_shifts and number in user.texts and number - 1 in user.texts:
            user.missing_shifts.discard(number)
            self._offer(user, _shift_call(self._knowledge, user.work, number, user.texts))

    def _offer(self, user: _Open, call: PartitionCall) -> None:
        if call.key in user.work.quarantined:
            return
        user.unanswered += 1
        if call.kind == "shift":
            self._ready.appendleft(call)
        else:
            self._ready.append(call)

    def _close(self, user: _Open) -> None:
        user.unanswered -= 1
        if not user.unanswered:
            del self._open[user.work.user_key]


def _summary_call(knowledge: Knowledge, work: UserWork, part: Partition) -> PartitionCall:
    def render(left_out: int) -> str:
        return summary_prompt(knowledge, work.attributes, part.behaviors, left_out=left_out)

    return _call(knowledge, work, part.number, "summary", render, len(part.behaviors))


def _shift_call(knowledge: Knowledge, work: UserWork, number: int, texts: Mapping[int, str]) -> PartitionCall:
    prompt = shift_prompt(knowledge, texts[number - 1], texts[number])
    return _call(knowledge, work, number, "shift", lambda _: prompt, 0)


def _call(
    knowledge: Knowledge, work: UserWork, number: int, kind: Kind, render: Callable[[int], str], behaviors: int
) -> PartitionCall:
    prompt = render(0)
    key = call_key(knowledge, work.user_id, number, kind, prompt)
    place = PartitionPlace(work.user_id, work.user_key, number)
    return Call(key, place, kind, prompt, knowledge.max_tokens[kind], render, behaviors)
