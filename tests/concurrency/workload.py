"""Work for several ingesters and sealers at once whose result only depends on the order in which files arrive.

Files overlap in time and in users, so events come late, tie and are repeated. A sealer's watermark lies before
every event of every file that is not finished: that is what a watermark promises, and with it, it does not matter
when sealing runs (test_oracle). The order of arrival is read from the database: each file has, for each of its
users, one event that no other file has.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from liber_tasks.partition.cuts import Cut
from tests.behavior import state
from tests.concurrency.serial import arrived
from tests.partition.oracle import Event, Rule, Stream
from tests.partition.streams import partitions, write

END = 1_000_000
WRONG_SPANS = """
SELECT p.* FROM liber.behavior_partition AS p
LEFT JOIN liber.behavior AS f ON p.user_key = f.user_key AND p.first_seq = f.seq
LEFT JOIN liber.behavior AS l ON p.user_key = l.user_key AND p.last_seq = l.seq
WHERE (p.started_at, p.ended_at, p.n_behaviors)
    IS DISTINCT FROM (f.effective_time, l.effective_time, (p.last_seq - p.first_seq + 1)::integer)"""
COPIED = 3  # events of a file from this number on may also be in later files


@dataclass(frozen=True)
class File:
    """Events by user, none before `start`; and a cut point for some users: (closing, deciding) event of this file."""

    start: int
    events: dict[str, list[Event]]
    cuts: dict[str, tuple[str, str]]

    def requests(self) -> list[Cut]:
        """The cut points as they are asked for once the file has arrived."""
        return [Cut(user, closing, deciding) for user, (closing, deciding) in self.cuts.items()]


@dataclass(frozen=True)
class Plan:
    """Files in order of time, and the rule."""

    users: list[str]
    files: list[File]
    rule: Rule

    def watermark(self, finished: Collection[int]) -> int:
        """Before every event of every file that is not finished."""
        return min((file.start - 1 for n, file in enumerate(self.files) if n not in finished), default=END)

    def write(self, folder: Path) -> list[Path]:
        """The files on disk."""
        return [write(folder / f"{n:02}.jsonl", file.events) for n, file in enumerate(self.files)]


def random_rule(dice: random.Random) -> Rule:
    """Any combination of conditions."""
    k = dice.choice([None, dice.randint(2, 9)])
    gap = dice.choice([None, dice.randint(1, 12)])
    age = dice.choice([None, dice.randint(10, 60)])
    model = dice.random() < 0.5 or k is gap is age is None
    return Rule(k, gap, age, dice.choice([1, dice.randint(2, 6)]) if gap or age else 1, model)


def random_plan(seed: int, files: int = 10, users: int = 8, events: int = 12) -> Plan:
    """A plan with files of up to so many events a user."""
    dice = random.Random(seed)
    names = [f"u{n}" for n in range(users)]
    made: list[File] = []
    for number in range(files):
        start = 1000 + 40 * number
        file = File(start, {}, {})
        for user in dice.sample(names, dice.randint(users // 3, users)):
            own = [
                Event(f"{number}-{n}", start + dice.choice([0, dice.randint(0, 90)]))
                for n in range(dice.randint(COPIED, events))
            ]
            # between events of this file alone, so that nobody has sealed them when they are asked for
            deciding = max(own[:COPIED], key=lambda e: (e.time, e.event_id))
            if dice.random() < 0.5:
                file.cuts[user] = dice.choice(own[:COPIED]).event_id, deciding.event_id
            copied = [e for other in made for e in other.events.get(user, [])]
            copied = [e for e in copied if int(e.event_id.split("-")[1]) >= COPIED]
            file.events[user] = own + dice.sample(copied, min(len(copied), 2))
            dice.shuffle(file.events[user])
        made.append(file)
    return Plan(names, made, random_rule(dice))


def orders(found: Sequence[tuple[Event, int]]) -> list[int]:
    """Numbers of files in the order in which a user's stream says they arrived."""
    return [int(name[:-2]) for name in (event.event_id for event, _ in found) if name.endswith("-0")]


def check(engine: Engine, plan: Plan, loaded: Collection[int], finished: Collection[int], done: bool = False) -> int:
    """The database holds whole files, and of them what the oracle says, or the first partitions of it.

    Args:
        engine: of the database.
        plan: what is being done.
        loaded: files that the database says are loaded.
        finished: those whose cut points were asked for too.
        done: sealing is at its end: no partition may be missing.

    Returns:
        Duplicates met.
    """
    assert state.rows(engine, WRONG_SPANS) == []
    sealed = partitions(engine, *plan.users)
    duplicates = 0
    for user in plan.users:
        found = arrived(engine, user)
        order = orders(found)
        assert sorted(order) == [n for n in sorted(loaded) if user in plan.files[n].events]
        expected = Stream()
        for number in order:
            expected.arrive(plan.files[number].events[user])
        assert found == expected.arrived
        ids = {event.event_id: place for place, (event, _) in enumerate(found, start=1)}
        for number in order:
            if user in plan.files[number].cuts:
                closing, deciding = plan.files[number].cuts[user]
                expected.cuts[ids[deciding]] = ids[closing]
        expected.seal(plan.rule, plan.watermark(finished))
        assert sealed[user] == (expected.partitions if done else expected.partitions[: len(sealed[user])])
        duplicates += expected.duplicates
    return duplicates


def loaded(engine: Engine) -> list[int]:
    """Numbers of the files that are loaded."""
    return [int(Path(source).stem) for (source,) in state.rows(engine, "SELECT source FROM liber.ingest_file")]
