"""Samples from a real database, and what they may depend on."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from liber_tasks.backbones.vocabulary import UNRATED
from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from liber_tasks.features.dense import names
from liber_tasks.features.lexical import Lexical
from liber_tasks.fusion.options import AFFINITY, COMPARED, PROFILE, STATISTICS, TARGET_ATTENTION, check_options
from liber_tasks.training.assemble import Raw, assemble
from liber_tasks.training.dataset import Dataset, VectorVersion
from liber_tasks.training.item_texts import ItemTexts, Vectors
from liber_tasks.training.load import load
from liber_tasks.training.parts import FIT, TEST, VALIDATION
from liber_tasks.training.tables import Tables
from tests.serving.world import add_text_vectors
from tests.training.data import DIMENSION, ITEMS, SMALL, VECTOR, fill, insert, keys, versions

NO_TEXT = f"i{ITEMS - 1}"  # the item that `add_text_vectors` leaves out


def _run(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_samples_histories_and_memories_are_those_of_the_tables(engine: Engine, settings: Settings) -> None:
    fill(engine, plays=True)
    add_text_vectors(engine)
    dataset = load(engine, settings, (TARGET_ATTENTION,), max_history=6, max_partitions=2)
    with engine.connect() as connection:
        behaviors = connection.execute(text("SELECT * FROM liber.behavior ORDER BY user_key, event_time, seq")).all()
        vectors = connection.execute(
            text("SELECT v.user_key, p.sealed_at, v.vector::real[] AS vector FROM liber.interest_vector AS v "
                 "JOIN liber.behavior_partition AS p USING (user_key, partition_no) ORDER BY 1, 2, p.partition_no")
        ).all()  # fmt: skip
        partitions = connection.execute(
            text("SELECT user_key, first_seq, last_seq, sealed_at FROM liber.behavior_partition ORDER BY 1, 4, 2")
        ).all()
    items = {key: name for name, key in keys(engine, "item").items()}
    rated = [b for b in behaviors if b.kind == "rating"]
    assert len(dataset.label) == len(rated) < len(behaviors)
    config = dataset.config("din", ("pooled", TARGET_ATTENTION), SMALL)
    batch = dataset.batch(torch.arange(len(rated)), config)
    vocabulary = dataset.vocabulary
    for row, sample in enumerate(rated):
        earlier = [b for b in behaviors if b.user_key == sample.user_key and b.event_time < sample.event_time][-6:]
        seen = [batch.history[row][n] for n in batch.history_mask[row].nonzero().flatten()]
        expected = [
            (vocabulary.items.get(items[b.item_key], 0),
             UNRATED if b.rating is None else int(b.rating) - 1)
            for b in earlier
        ]  # fmt: skip
        assert [(int(batch.entry_item[e]), int(batch.entry_response[e])) for e in seen] == expected
        sealed = [v.vector for v in vectors if v.user_key == sample.user_key and v.sealed_at < sample.event_time][-2:]
        memory, mask = batch.memories[batch.memory_of[row]], batch.memories_mask[batch.memory_of[row]]
        np.testing.assert_allclose(batch.vectors[memory[mask]].numpy().reshape(-1, DIMENSION),
                                   np.array(sealed, dtype=np.float32).reshape(-1, DIMENSION))  # fmt: skip
        closed = [p for p in partitions if p.user_key == sample.user_key and p.sealed_at < sample.event_time][-2:]
        assert batch.profile_mask[row].any(dim=1).sum() == len(closed)
        for place, partition in enumerate(reversed(closed), 1):
            inside = [b for b in rated if b.user_key == sample.user_key and items[b.item_key] != NO_TEXT
                      and partition.first_seq <= b.seq <= partition.last_seq]  # fmt: skip
            kinds = [any((b.rating > 3) == liked for b in inside) for liked in (False, True)]
            assert batch.profile_mask[row, -place].tolist() == kinds
        assert dataset.label[row] == (sample.rating > 3)
        assert (dataset.part[row] == TEST) == (sample.event_time >= dataset.cut)
    assert batch.memories_mask.any()
    assert len(batch.vectors.unique(dim=0)) == len(batch.vectors) < batch.memories_mask.sum()
    assert len(dataset.memory.unique(dim=0)) == len(batch.memories) < len(batch)
    assert batch.profile[~batch.profile_mask].eq(0).all()


def test_the_latest_tenth_of_training_validates(engine: Engine, settings: Settings) -> None:
    fill(engine)
    dataset = load(engine, settings)
    fit, validation, test = (len(dataset.rows(part)) for part in (FIT, VALIDATION, TEST))
    assert fit + validation + test == len(dataset.label)
    assert 0.1 <= validation / (fit + validation) < 0.15
    assert 0.1 <= test / len(dataset.label) < 0.15


def test_vocabularies_know_nothing_that_first_appears_later(engine: Engine, settings: Settings) -> None:
    fill(engine)
    dataset = load(engine, settings)
    fitted = set(dataset.user[dataset.rows(FIT)].tolist())
    later = [user for user in dataset.user[dataset.rows(TEST)].tolist() if user not in fitted]
    assert later
    assert dataset.users[later, 0].eq(0).all()
    assert dataset.users[sorted(fitted), 0].gt(0).all()
    assert len(dataset.vocabulary.users) == len(fitted)


def test_the_digest_is_of_the_data(engine: Engine, settings: Settings) -> None:
    fill(engine)
    first = load(engine, settings).digest
    assert load(engine, settings).digest == first
    _run(engine, "UPDATE liber.behavior SET rating = 6 - rating WHERE seq = 3 AND rating = 5")
    second = load(engine, settings).digest
    assert second != first
    _run(engine, "UPDATE liber.interest_vector SET vector = vector * '[2,2,2,2]'")
    assert load(engine, settings).digest not in (first, second)


def test_the_versions_with_the_most_vectors_are_used_and_never_mixed(engine: Engine, settings: Settings) -> None:
    fill(engine)
    versions(engine, "e2", "k2", dimension=2)
    user = keys(engine, "user")["u0"]
    insert(engine, "interest_vector", VECTOR, [(user, 1, "e2", "k2", "[1,2]")])
    dataset = load(engine, settings)
    assert dataset.version == VectorVersion("e1", "k1", DIMENSION, "llm", "summary/1", "shift/2")
    assert dataset.vectors.shape[1] == DIMENSION
    _run(engine, "DELETE FROM liber.interest_vector WHERE encoder_version = 'e1'")
    dataset = load(engine, settings)
    assert dataset.version is not None
    assert dataset.version.encoder_version == "e2"
    assert dataset.vectors.tolist() == [[1, 2]]


def test_without_vectors_every_memory_is_empty(engine: Engine, settings: Settings) -> None:
    fill(engine, vectors=False)
    dataset = load(engine, settings)
    assert dataset.version is None
    assert not dataset.with_vector(dataset.rows(FIT, VALIDATION, TEST)).any()
    batch = dataset.batch(torch.arange(3), dataset.config("din", ("pooled",), SMALL))
    assert (batch.memories.shape, batch.vectors.shape) == ((1, 0), (0, 0))


def test_an_option_without_its_text_vectors_says_what_to_do(engine: Engine, settings: Settings) -> None:
    fill(engine)
    with pytest.raises(InputError, match="liber encode --items"):
        load(engine, settings, check_options((PROFILE,)))
    with pytest.raises(InputError, match="profil, affinity"):
        load(engine, settings, ("profil", AFFINITY))


def test_no_behaviours_or_a_part_without_ratings_is_said_clearly(engine: Engine, settings: Settings) -> None:
    with pytest.raises(InputError, match="liber ingest"):
        load(engine, settings)
    fill(engine)
    _run(engine, "UPDATE liber.behavior SET event_time = '2024-01-01Z'")
    with pytest.raises(InputError, match="leaves 0 ratings to train"):
        load(engine, settings)


# Point in time, on tables in memory: whatever happens at or after a sample's time, its inputs stay.

TABLES = Tables(
    np.arange(1, 4), [{"user_id": f"u{u}", "age": 30, "gender": "F", "occupation": "x"} for u in range(3)],
    np.arange(1, 5), [{"item_id": f"i{i}", "genres": ["a", "b"][: i % 3], "year": 1990} for i in range(4)],
)  # fmt: skip
# One number of a vector is not zero, and their mean is: products of matrices are then exact in whatever order they are
# summed, and a feature that changes in its last digit has changed for a reason.
_VECTORS = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]], dtype=np.float32)
_SAID = [f"item {'of one' if i % 2 else 'of another'} kind" for i in range(4)]
TEXTS = ItemTexts(
    {}, {kind: Vectors(TABLES.item_keys, _VECTORS, np.zeros(3, dtype=np.float32)) for kind in ("dense", "lexical")},
    TABLES.item_keys, _SAID, Lexical.fit(_SAID, 2),
)  # fmt: skip
K = 3  # behaviours of a partition
OPTIONS = (TARGET_ATTENTION, *COMPARED, AFFINITY, STATISTICS)
COUNTED = [name.startswith((AFFINITY, STATISTICS)) for name in names(OPTIONS)]  # read a snapshot of all users
Event = tuple[int, int, int, float]  # user, time, item, rating
Sealed = tuple[int, int, float]  # user, time, the vector's one number
DOES = st.tuples(st.integers(1, 4), st.sampled_from([2.0, 5.0]))  # item, rating
EVENTS = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 12), DOES).map(lambda e: (*e[:2], *e[2])), max_size=25)
SEALEDS = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 12), st.floats(-9, 9, width=16)), max_size=12)
# So that every part has a sample, and the catalogue's directions are always those of the same items.
ALWAYS: list[Event] = [(1, -4, 1, 5.0), (2, -3, 2, 2.0), (1, -2, 3, 2.0), (2, -1, 4, 5.0), (1, 20, 1, 5.0),
                       (1, 99, 3, 5.0)]  # fmt: skip
CUT = 50  # microseconds after 2000-01-01


def _assemble(events: list[Event], sealed: list[Sealed]) -> Dataset:
    """Samples of a stream that arrives in order; each K behaviours of a user are a partition."""
    user, time, item, rating = (np.array(column) for column in zip(*sorted(events, key=lambda e: e[:2]), strict=True))
    seq = np.concatenate([np.arange(1, n + 1) for n in np.unique(user, return_counts=True)[1]])
    last = np.flatnonzero(seq % K == 0)
    memory = np.array(sorted(sealed, key=lambda v: v[:2]), dtype=np.float64).reshape(-1, 3)
    raw = Raw(
        TABLES,
        {"user": user, "seq": seq, "time": time, "item": item, "rating": rating,
         "is_sample": np.ones(len(user), dtype=bool)},
        {"user": user[last], "partition_no": seq[last] // K, "first_seq": seq[last] + 1 - K, "last_seq": seq[last],
         "sealed_at": time[last]},
        {"user": memory[:, 0].astype(int), "sealed_at": memory[:, 1].astype(int),
         "vector": memory[:, 2:].astype(np.float32)},
        TEXTS,
    )  # fmt: skip
    return assemble(raw, datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=CUT), None, OPTIONS, 5, 7, 3)


def _seen(dataset: Dataset, row: int) -> dict[str, object]:
    """What sample `row` is given; the columns that count what all users did stand apart."""
    (start, end), (first, last) = dataset.history[row].tolist(), dataset.memory[row].tolist()
    opened, closed = dataset.closed[row].tolist()
    dense = dataset.dense[row]
    return {
        "history": (dataset.event_item[start:end].tolist(), dataset.event_response[start:end].tolist()),
        "vectors": dataset.vectors[first:last].tolist(),
        "profiles": dataset.profiles[opened:closed].tolist(),
        "profile_mask": dataset.profile_mask[opened:closed].tolist(),
        "negatives": dataset.seen_items[: dataset.seen[row]].tolist(),
        "dense": dense[~torch.tensor(COUNTED)].tolist(),
        "counted": dense[torch.tensor(COUNTED)].tolist(),
    }


def _differing(before: dict[str, object], after: dict[str, object]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


@rules(max_examples=30, deadline=None)
@given(events=EVENTS, sealed=SEALEDS, new_events=EVENTS, new_sealed=SEALEDS, place=st.integers(0, 100))
def test_nothing_at_or_after_a_samples_time_changes_what_it_sees(
    events: list[Event], sealed: list[Sealed], new_events: list[Event], new_sealed: list[Sealed], place: int
) -> None:
    events = sorted([*events, *ALWAYS], key=lambda e: e[:2])
    user, time, item, rating = events[place % len(events)]
    before = _seen(_assemble(events, sealed), place % len(events))
    # Everything from `time` on is thrown away and replaced, the sample itself excepted.
    always = [e for e in ALWAYS if e[1] >= time]
    past = [e for e in events if e[1] < time]
    future = [e for e in new_events if e[1] >= time]
    changed = [*past, *always, (user, time, item, rating), *future]
    kept = [v for v in sealed if v[1] < time] + [v for v in new_sealed if v[1] >= time]
    ordered = sorted(changed, key=lambda e: e[:2])
    after = _seen(_assemble(changed, kept), ordered.index((user, time, item, rating)))
    # which moment's counts it reads depends on when others come: on what they do, see the next test
    assert _differing(before, after) <= {"counted"}


@rules(max_examples=30, deadline=None)
@given(events=EVENTS, does=st.lists(DOES, min_size=40, max_size=40), place=st.integers(0, 100))
def test_what_anybody_does_at_or_after_a_samples_time_changes_nothing_it_sees(
    events: list[Event], does: list[tuple[int, float]], place: int
) -> None:
    events = sorted([*events, *ALWAYS], key=lambda e: e[:2])
    row = place % len(events)
    time = events[row][1]
    changed = [e if e[1] < time or n == row or e in ALWAYS else (e[0], e[1], *does[n]) for n, e in enumerate(events)]
    before, after = _seen(_assemble(events, []), row), _seen(_assemble(changed, []), row)
    assert _differing(before, after) == set()


def test_counts_of_all_users_do_reach_later_samples() -> None:
    """The property above would hold of columns that say nothing."""
    liked = [(2, n, 1, 5.0) for n in range(6)]
    disliked = [(user, time, item, 2.0) for user, time, item, _ in liked]
    found = [_assemble([*ALWAYS, *events, (3, 12, 1, 5.0)], []) for events in (liked, disliked)]
    row = int((found[0].user == 3).nonzero()[-1])
    assert _seen(found[0], row)["counted"] != _seen(found[1], row)["counted"]


def test_counts_of_all_users_leave_out_the_samples_own_moment() -> None:
    found = [_assemble([*ALWAYS, (2, 10, 1, rating), (3, 10, 1, 5.0)], []) for rating in (5.0, 2.0)]
    row = int((found[0].user == 3).nonzero()[-1])
    assert _seen(found[0], row)["counted"] == _seen(found[1], row)["counted"]


@pytest.mark.parametrize(("earlier_by", "seen"), [(0, 0), (1, 1)])
def test_an_equal_timestamp_is_not_earlier(earlier_by: int, seen: int) -> None:
    events = [(3, 10 - earlier_by, n, 5.0) for n in range(1, K + 1)]
    dataset = _assemble([*ALWAYS, *events, (3, 10, 2, 5.0)], [(3, 10 - earlier_by, 1.0)])
    row = int((dataset.user == 3).nonzero()[-1])
    assert int(dataset.history[row, 1] - dataset.history[row, 0]) == seen * K
    assert int(dataset.memory[row, 1] - dataset.memory[row, 0]) == seen
    assert int(dataset.closed[row, 1] - dataset.closed[row, 0]) == seen
