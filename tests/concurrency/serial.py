"""What interleaved calls may come to: what the oracle gives when they come one after another, in some order.

Per user: a call locks streams, not the database, so calls may pass each other at different users.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from liber_tasks.behavior.brokers.stream_store import Store
from liber_tasks.behavior.brokers.streams import Message
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.partition.cuts import Cut, request_cuts
from liber_tasks.partition.stream import seal
from tests.behavior import state
from tests.behavior.files import behavior, write_jsonl
from tests.concurrency.observed import Seat
from tests.concurrency.stepping import Change, Job, Trace
from tests.partition import oracle
from tests.partition.oracle import Event, Partition, Rule
from tests.partition.streams import as_rule, moment, partitions

# stops that matter to users known already: lock, read, write, commit
INGEST = ("behavior/lock_streams", "behavior/user_codes", "behavior/copy_behaviors", "commit")
ITEMS = "behavior/add_items"
INGEST_NEW = ("behavior/add_users", "behavior/add_streams", *INGEST)
SEAL = ("partition/due_by_count", "partition/due_by_time", "partition/lock_streams", "partition/seal_count",
        "partition/seal_bounds", "commit")  # fmt: skip
CONSUME = ("behavior/message_stream_add", "behavior/message_stream_lock", "behavior/message_stream_advance", "commit")
REQUEST = ("partition/cut_events", "partition/lock_streams", "partition/request_cuts", "commit")


@dataclass
class Stream(oracle.Stream):
    """One user's stream, and the sources it came from."""

    sources: frozenset[str] = field(default_factory=frozenset)  # files
    position: str | None = None  # in the stream of messages


@dataclass(frozen=True)
class Act:
    """A call, for one user.

    Attributes:
        call: of the product.
        model: the same to the oracle's stream; returns what the call is to report.
        said: what it did report, out of its result.
        stops: where it may be held.
    """

    call: Callable[[Engine], Any]
    model: Callable[[Stream], object]
    said: Callable[[Any], object]
    stops: tuple[str, ...]

    def job(self, seat: Seat, changes: Mapping[str, Change] | None = None) -> Job:
        """The call, ready to be stepped."""
        return Job(seat, self.call, self.stops, changes)


def load(
    settings: Settings, folder: Path, user: str, name: str, events: Sequence[Event], stops: tuple[str, ...] = INGEST
) -> Act:
    """Ingest one file of these events; the name tells files apart. With a stop at add_items, the items are new."""
    item = f"i-{user}" if ITEMS in stops else "i"
    path = write_jsonl(
        folder / f"{user}-{name}.jsonl",
        (behavior(0, event_id=e.event_id, user_id=user, item_id=item, event_time=e.time) for e in events),
    )

    def model(stream: Stream) -> object:
        before = len(stream.arrived), stream.duplicates
        if name not in stream.sources:
            stream.sources = stream.sources | {name}
            stream.arrive(events)
        return len(stream.arrived) - before[0], stream.duplicates - before[1]

    return Act(
        lambda engine: ingest(engine, settings, [path]),
        model,
        lambda report: (report.accepted, report.duplicates),
        stops,
    )


def consume(settings: Settings, user: str, events: Sequence[Event], known: str | None, after: str) -> Act:
    """Store a batch of a stream of messages, read behind one position, and move the stream to the next."""
    rows = [behavior(0, event_id=e.event_id, user_id=user, item_id="i", event_time=e.time) for e in events]
    messages = [Message(json.dumps(row).encode(), after) for row in rows]

    def model(stream: Stream) -> object:
        if stream.position != known:
            return None
        stream.position = after
        before = len(stream.arrived), stream.duplicates
        stream.arrive(events)
        return len(stream.arrived) - before[0], stream.duplicates - before[1]

    return Act(
        lambda engine: Store(engine, settings, "behaviors", None).add("test", user, known, messages),
        model,
        lambda report: report and (report.accepted, report.duplicates),
        CONSUME,
    )


def close(user: str, rule: Rule, watermark: int) -> Act:
    """Seal."""

    def model(stream: Stream) -> object:
        before = len(stream.partitions)
        stream.seal(rule, watermark)
        return len(stream.partitions) - before

    return Act(
        lambda engine: seal(engine, as_rule(rule), moment(watermark), users=[user]),
        model,
        lambda report: report.partitions,
        SEAL,
    )


def request(user: str, event_id: str, decided: str) -> Act:
    """Ask for a cut point; both events have arrived before."""

    def model(stream: Stream) -> object:
        ids = [event.event_id for event, _ in stream.arrived]
        last, at = ids.index(event_id) + 1, ids.index(decided) + 1
        if last <= stream.sealed:
            return 0, 0, 1
        if at in stream.cuts:
            return 0, 1, 0
        stream.cuts = stream.cuts | {at: last}
        return 1, 0, 0

    return Act(
        lambda engine: request_cuts(engine, [Cut(user, event_id, decided)], "test"),
        model,
        lambda report: (report.requested, report.repeated, report.sealed),
        REQUEST,
    )


@dataclass(frozen=True)
class Outcome:
    """State of a user, and what each call reported."""

    arrived: list[tuple[Event, int]]
    partitions: list[Partition]
    said: list[object]


def outcomes(base: Stream, acts: Sequence[Act], trace: Trace, last: Sequence[Act] = ()) -> list[Outcome]:
    """What every order gives that lets a call that had ended before another began come first."""
    found = []
    for order in permutations(range(len(acts))):
        if any(trace.before(later, earlier) for n, earlier in enumerate(order) for later in order[n + 1 :]):
            continue
        stream = deepcopy(base)
        said = {number: acts[number].model(stream) for number in order}
        said |= {len(acts) + n: act.model(stream) for n, act in enumerate(last)}
        found.append(Outcome(stream.arrived, stream.partitions, [said[n] for n in sorted(said)]))
    return found


def arrived(engine: Engine, user: str) -> list[tuple[Event, int]]:
    """Events and effective times of one user, in order of seq; seq has no holes."""
    found = state.rows(
        engine,
        "SELECT seq, event_id, extract(epoch FROM event_time)::bigint, extract(epoch FROM effective_time)::bigint"
        " FROM liber.behavior JOIN liber.user_profile USING (user_key) WHERE user_id = :user ORDER BY seq",
        user=user,
    )
    assert [row[0] for row in found] == [*range(1, len(found) + 1)]
    return [(Event(row[1], row[2]), row[3]) for row in found]


class Broken(AssertionError):
    """No order of the calls gives what was found."""


def check(engine: Engine, user: str, base: Stream, acts: Sequence[Act], trace: Trace, last: Sequence[Act] = ()) -> None:
    """The outcome of a run is that of some order of its calls, before and after `last` came to it.

    Raises:
        Broken: it is not, or a call failed.
    """
    for job in trace.jobs:
        if job.error is not None:
            raise Broken(f"{job.error!r} in {trace}") from job.error
    said = [act.said(job.result) for act, job in zip(acts, trace.jobs, strict=True)]
    for n in range(len(last) + 1):
        said += [act.said(act.call(engine)) for act in last[n - 1 : n]]
        found = Outcome(arrived(engine, user), partitions(engine, user)[user], said)
        if found not in outcomes(base, acts, trace, last[:n]):
            raise Broken(f"{found} in {trace}, expected one of {outcomes(base, acts, trace, last[:n])}")
