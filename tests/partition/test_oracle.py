"""Promise of sealing: the SQL gives what Algorithm 1 gives, for every rule, however the stream is cut."""

import random
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.partition.stream import seal
from tests.behavior import state
from tests.concurrency.workload import WRONG_SPANS
from tests.partition.oracle import Event, Rule, Stream, replay
from tests.partition.streams import arrived, as_rule, moment, partitions, write

END = datetime(2100, 1, 1, tzinfo=UTC)
START = 1_000_000
names = count()  # every example has a user of its own, so that all share one database

fewer = examples(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
times = st.integers(START, START + 15)  # few, so that many tie
events = st.builds(Event, st.sampled_from("aAbBéz").map(str) | st.text("xyZ", min_size=1, max_size=3), times)
batches = st.lists(st.lists(events, min_size=1, max_size=12), min_size=1, max_size=6)
spans = st.none() | st.integers(1, 9)
rules = st.builds(Rule, st.none() | st.integers(1, 7), spans, spans, st.integers(1, 4), st.booleans()).filter(
    lambda rule: (rule.gap or rule.max_age) or (rule.min_events == 1 and (rule.k or rule.model))
)


def request(engine: Engine, user: str, cuts: dict[int, int]) -> None:
    """Cut points of a user, as any model may write them."""
    with engine.begin() as connection:
        parameters = {"user": user, "decided": list(cuts), "last": list(cuts.values())}
        connection.execute(
            text(
                "INSERT INTO liber.partition_cut (user_key, decided_seq, last_seq, model)"
                " SELECT u.user_key, c.decided, c.last, 'test' FROM liber.user_profile AS u,"
                " unnest(cast(:decided AS bigint[]), cast(:last AS bigint[])) AS c (decided, last)"
                " WHERE u.user_id = :user ON CONFLICT DO NOTHING"
            ),
            parameters,
        )
        connection.execute(
            text(
                "UPDATE liber.user_stream SET examined_rule = 0"
                " WHERE user_key = (SELECT user_key FROM liber.user_profile WHERE user_id = :user)"
            ),
            parameters,
        )


@fewer
@given(batches, rules, st.data())
def test_any_stream_gives_the_oracles_partitions(
    engine: Engine, settings: Settings, tmp_path: Path, batches, rule: Rule, data: st.DataObject
) -> None:
    user = f"u{next(names)}"
    oracle = Stream()
    duplicates = 0
    for n, batch in enumerate(batches):
        path = write(tmp_path / f"{user}-{n}.jsonl", {user: batch})
        report = ingest(engine, settings, [path])
        if not report.already_ingested:  # the same batch twice is one file: a no-op as a whole
            duplicates += report.duplicates
            oracle.arrive(batch)
        if rule.model and data.draw(st.booleans()):
            decided = data.draw(st.integers(1, len(oracle.arrived)))
            cut = {decided: data.draw(st.integers(1, decided))}
            oracle.cuts = cut | oracle.cuts
            request(engine, user, cut)
        if data.draw(st.booleans()):
            watermark = data.draw(st.integers(START, START + 40))
            report = seal(engine, as_rule(rule), moment(watermark), users=[user])
            before = len(oracle.partitions)
            oracle.seal(rule, watermark)
            sealed = oracle.partitions[before:]
            assert report.partitions == len(sealed) == sum(report.reasons.values())
            assert report.behaviors == sum(len(partition.members) for partition in sealed)
    assert (arrived(engine, user), duplicates) == (oracle.arrived, oracle.duplicates)
    assert partitions(engine, user)[user] == oracle.partitions
    seal(engine, as_rule(rule), END, users=[user])
    oracle.seal(rule, int(END.timestamp()))
    assert partitions(engine, user)[user] == oracle.partitions


def random_rule(dice: random.Random) -> Rule:
    """A rule with at least one condition."""
    k, gap, age = dice.choice([None, dice.randint(1, 9)]), dice.choice([None, dice.randint(1, 30)]), None
    if dice.random() < 0.5 or k is gap is None:
        age = dice.randint(1, 60)
    return Rule(k, gap, age, dice.choice([1, 1, dice.randint(2, 6)]) if gap or age else 1, dice.random() < 0.3)


def random_batch(dice: random.Random, users: list[str], n: int, clock: int) -> dict[str, list[Event]]:
    """Behaviours of several users: mostly after `clock`, some late, many tied, some known already."""
    batch: dict[str, list[Event]] = {}
    for user in dice.sample(users, dice.randint(1, len(users))):
        batch[user] = [
            Event(f"{dice.randint(0, n)}-{dice.randint(0, 12)}", clock + dice.choice([0, 0, dice.randint(-40, 50)]))
            for _ in range(dice.randint(1, 25))
        ]
    return batch


@pytest.mark.parametrize("seed", range(12))
def test_many_users_at_once_get_the_oracles_partitions_even_when_the_rule_changes(
    engine: Engine, settings: Settings, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:
        monkeypatch.setattr("liber_tasks.behavior.store.buckets.ROWS_IN_MEMORY", 100)
        monkeypatch.setattr("liber_tasks.behavior.store.codes.MOST", 20)
    dice = random.Random(seed)
    users = [f"u{n}" for n in range(100)]
    oracles = {user: Stream() for user in users}
    rule, clock = random_rule(dice), START
    for n in range(8):
        clock += dice.randint(0, 60)
        batch = random_batch(dice, users, n, clock)
        ingest(engine, settings, [write(tmp_path / f"{n}.jsonl", batch)])
        for user, arriving in batch.items():
            oracles[user].arrive(arriving)
            if dice.random() < 0.2:
                decided = dice.randint(1, len(oracles[user].arrived))
                cut = {decided: dice.randint(1, decided)}
                oracles[user].cuts = cut | oracles[user].cuts
                request(engine, user, cut)
        if dice.random() < 0.2:
            rule = random_rule(dice)
        if dice.random() < 0.8:
            watermark = clock + dice.randint(-30, 60)
            seal(engine, as_rule(rule), moment(watermark))
            for oracle in oracles.values():
                oracle.seal(rule, watermark)
    assert partitions(engine, *users) == {user: oracle.partitions for user, oracle in oracles.items()}
    assert state.rows(engine, WRONG_SPANS) == []


@fewer
@given(st.lists(events, min_size=1, max_size=40, unique_by=lambda e: e.event_id), rules, st.data())
def test_a_stream_that_comes_in_order_may_be_cut_and_sealed_anywhere(
    engine: Engine, settings: Settings, tmp_path: Path, stream: list[Event], rule: Rule, data: st.DataObject
) -> None:
    stream.sort(key=lambda e: (e.time, e.event_id.encode()))
    expected = replay([stream], rule, int(END.timestamp()))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream)), max_size=5)) | {len(stream)})
    user = f"u{next(names)}"
    for first, last in zip([0, *cuts], cuts, strict=False):
        ingest(engine, settings, [write(tmp_path / f"{user}-{first}.jsonl", {user: stream[first:last]})])
        # the watermark of a seal promises that nothing earlier comes: it lies before what comes next
        after = stream[last].time if last < len(stream) else START + 99
        seal(engine, as_rule(rule), moment(data.draw(st.integers(START, after))), users=[user])
    seal(engine, as_rule(rule), END)
    assert partitions(engine, user)[user] == expected.partitions
    assert arrived(engine, user) == expected.arrived


@fewer
@given(batches, st.integers(1, 7), st.lists(times, max_size=4))
def test_by_count_it_does_not_matter_how_often_and_up_to_where_sealing_ran_before(
    engine: Engine, settings: Settings, tmp_path: Path, batches, k: int, watermarks: list[int]
) -> None:
    user = f"u{next(names)}"
    different = list(dict.fromkeys(map(tuple, batches)))
    ingest(engine, settings, [write(tmp_path / f"{user}-{n}.jsonl", {user: b}) for n, b in enumerate(different)])
    for watermark in watermarks:
        seal(engine, as_rule(Rule(k)), moment(watermark), users=[user])
    seal(engine, as_rule(Rule(k)), END, users=[user])
    assert partitions(engine, user)[user] == replay(different, Rule(k), int(END.timestamp())).partitions
