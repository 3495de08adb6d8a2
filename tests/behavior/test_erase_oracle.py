"""Random histories with erasures and re-admissions: the database agrees with an oracle in plain Python."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import Engine

from liber_tasks.behavior.erase import erase, readmit
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.partition.stream import seal
from tests.behavior import state
from tests.behavior.files import write_jsonl
from tests.partition.oracle import Event, Rule, Stream
from tests.partition.streams import arrived, as_rule, moment, partitions

PEOPLE = ("a", "b", "c")
numbers = count()

people = st.sampled_from(PEOPLE)
times = st.integers(1_000_000, 1_000_012)
events = st.builds(Event, st.text("xyzé", min_size=1, max_size=2), times)
arrivals = st.tuples(st.just("arrive"), st.lists(st.tuples(people, events), min_size=1, max_size=12))
steps = st.one_of(
    arrivals,
    arrivals,
    st.tuples(st.just("replay"), st.integers(0, 9)),
    st.tuples(st.just("seal"), times),
    st.tuples(st.just("erase"), people),
    st.tuples(st.just("readmit"), people),
)


@dataclass
class Oracle:
    """Streams of people; the erased have none, and who is re-admitted starts a new one."""

    streams: dict[str, Stream] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    ever: set[str] = field(default_factory=set)

    def arrive(self, batch: Sequence[tuple[str, Event]]) -> tuple[int, int, int]:
        """Accepted, duplicates, refused."""
        refused = sum(person in self.erased for person, _ in batch)
        before = sum(stream.duplicates for stream in self.streams.values())
        for person in dict.fromkeys(person for person, _ in batch if person not in self.erased):
            self.streams.setdefault(person, Stream()).arrive([event for of, event in batch if of == person])
        duplicates = sum(stream.duplicates for stream in self.streams.values()) - before
        return len(batch) - refused - duplicates, duplicates, refused

    def erase(self, person: str) -> int:
        """Behaviours that were there."""
        self.ever.add(person)
        self.erased.add(person)
        return len(self.streams.pop(person, Stream()).arrived)


@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, min_size=1, max_size=14), st.builds(Rule, k=st.integers(1, 4)))
def test_any_history_with_erasures_gives_the_oracles_streams_and_partitions(
    engine: Engine, settings: Settings, tmp_path: Path, history: list[tuple[str, Any]], rule: Rule
) -> None:
    oracle, sent, example = Oracle(), [], next(numbers)
    name = {person: f"{person}-{example}" for person in PEOPLE}

    def send(batch: Sequence[tuple[str, Event]]) -> tuple[int, int, int]:
        rows = [
            {"event_id": event.event_id, "user_id": name[person], "item_id": "i", "event_time": event.time,
             "kind": "play", "file": next(numbers)}
            for person, event in batch
        ]  # fmt: skip
        report = ingest(engine, settings, [write_jsonl(tmp_path / "rows.jsonl", rows)])
        return report.accepted, report.duplicates, report.refused

    for action, what in history:
        if action == "arrive":
            sent.append(what)
            assert send(what) == oracle.arrive(what)
        elif action == "replay" and sent:
            batch = sent[what % len(sent)]
            assert send(batch) == oracle.arrive(batch)
        elif action == "seal":
            for person, stream in oracle.streams.items():
                seal(engine, as_rule(rule), moment(what), users=[name[person]])
                stream.seal(rule, what)
        elif action == "erase":
            report = erase(engine, name[what])
            recorded = what not in oracle.erased
            assert (report.removed.get("behavior", 0), report.recorded) == (oracle.erase(what), recorded)
        elif action == "readmit" and what in oracle.ever:
            assert readmit(engine, name[what]).changed == (what in oracle.erased)
            oracle.erased.discard(what)

    for person in PEOPLE:
        stream = oracle.streams.get(person, Stream())
        assert arrived(engine, name[person]) == stream.arrived
        assert partitions(engine, name[person])[name[person]] == stream.partitions
        rows = state.rows(engine, "SELECT 1 FROM liber.user_profile WHERE user_id = :u", u=name[person])
        assert bool(rows) == (person in oracle.streams)
    seqs = [row[1] for row in state.stream(engine) if row[0] in name.values()]
    assert sorted(seqs) == sorted(n for s in oracle.streams.values() for n in range(1, len(s.arrived) + 1))
