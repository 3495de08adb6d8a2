"""Promises of the drift model: where the interest moves a cut is requested, however the stream comes in pieces."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.db import query
from liber_tasks.encoder.items import encode_items
from liber_tasks.errors import InputError, LiberError
from liber_tasks.partition import drift
from liber_tasks.partition.drift import THRESHOLD, WINDOW, down_crossings, request_drift_cuts, similarities
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests.behavior import state
from tests.behavior.files import behavior, write_jsonl

END = datetime(2100, 1, 1, tzinfo=UTC)
names = count()  # every example has a user of its own, so that all share one database
fewer = examples(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
windows = st.integers(1, 5)
thresholds = st.floats(-0.9, 0.97)


@st.composite
def sequences(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Behaviours about few items, some of them unknown: (vectors, has_vector)."""
    items = np.random.default_rng(draw(st.integers(0, 2**32))).standard_normal((6, 7)).astype(np.float32)
    items[0] = 0  # has no direction
    rows = draw(st.lists(st.integers(0, 5), max_size=60))
    missing = draw(st.sets(st.integers(0, max(len(rows) - 1, 0)), max_size=3))
    return items[rows].reshape(-1, 7), np.array([n not in missing for n in range(len(rows))], bool)


# The definition


def slow_similarities(vectors: np.ndarray, has_vector: np.ndarray, window: int) -> list[float]:
    """The definition, one row at a time."""
    found = []
    for s in range(len(vectors)):
        rows = range(s - 2 * window + 1, s + 1)
        if rows[0] < 0 or not all(has_vector[r] and vectors[r].any() for r in rows):
            found.append(np.nan)
            continue
        units = [vectors[r].astype(float) / np.linalg.norm(vectors[r].astype(float)) for r in rows]
        before, after = np.mean(units[:window], axis=0), np.mean(units[window:], axis=0)
        found.append(float(before @ after / np.linalg.norm(before) / np.linalg.norm(after)))
    return found


def slow_crossings(found: Sequence[float], window: int, threshold: float) -> list[tuple[int, int]]:
    return [(s, s - window) for s in range(1, len(found)) if found[s] < threshold <= found[s - 1]]


@given(sequences(), windows)
def test_similarities_are_those_of_the_definition(stream: tuple[np.ndarray, np.ndarray], window: int) -> None:
    expected = slow_similarities(*stream, window)
    assert similarities(*stream, window) == pytest.approx(np.array(expected), abs=1e-4, nan_ok=True)


@given(sequences(), windows, thresholds)
def test_decisions_are_those_of_the_definition(
    stream: tuple[np.ndarray, np.ndarray], window: int, threshold: float
) -> None:
    found = slow_similarities(*stream, window)
    assume(not any(abs(value - threshold) < 1e-4 for value in found))  # there rounding may decide
    decisions = down_crossings(*stream, window, threshold)
    assert [(c.decided, c.last) for c in decisions] == slow_crossings(found, window, threshold)


@given(sequences(), windows, thresholds, st.data())
def test_a_piece_of_a_stream_gives_the_streams_decisions_to_the_last_bit(
    stream: tuple[np.ndarray, np.ndarray], window: int, threshold: float, data: st.DataObject
) -> None:
    vectors, has_vector = stream
    first = data.draw(st.integers(0, len(vectors)))
    last = data.draw(st.integers(first, len(vectors)))
    piece = down_crossings(vectors[first:last], has_vector[first:last], window, threshold)
    whole = [
        c for c in down_crossings(vectors, has_vector, window, threshold) if first + 2 * window <= c.decided < last
    ]
    assert [(c.decided + first, c.last + first, c.similarity) for c in piece] == whole


def test_a_piece_of_a_long_stream_of_long_vectors_too() -> None:
    vectors = np.random.default_rng(1).standard_normal((3_000, 384)).astype(np.float32)
    has_vector = np.ones(len(vectors), bool)
    whole = similarities(vectors, has_vector, WINDOW)
    for first, last in ((0, 1_000), (1, 12), (777, 2_000), (2_985, 3_000)):
        piece = similarities(vectors[first:last], has_vector[first:last], WINDOW)
        assert np.array_equal(piece[2 * WINDOW - 1 :], whole[first + 2 * WINDOW - 1 : last])
        fortran = similarities(np.asfortranarray(vectors[first:last]), has_vector[first:last], WINDOW)
        assert np.array_equal(piece, fortran, equal_nan=True)


def test_one_drift_is_one_decision() -> None:
    vectors = np.repeat(np.eye(2, dtype=np.float32), 20, axis=0)
    decisions = down_crossings(vectors, np.ones(40, bool), 5, 0.65)
    assert [(c.decided, c.last) for c in decisions] == [(22, 17)]  # 3 of the 5 newest are of the new kind
    assert decisions[0].similarity == pytest.approx(2 / np.sqrt(13), abs=1e-5)


@pytest.mark.parametrize("window", [0, -1, 1_001])
def test_an_impossible_window_is_refused_by_name_and_bound(window: int) -> None:
    with pytest.raises(InputError, match=rf"window == {window}, must be from 1 to 1000"):
        similarities(np.zeros((3, 2), np.float32), np.ones(3, bool), window)


@pytest.mark.parametrize("threshold", [-1.0, 1.1, float("nan")])
def test_an_impossible_threshold_is_refused_by_name_and_bound(threshold: float) -> None:
    with pytest.raises(InputError, match=rf"threshold == {threshold}, must be above -1 and at most 1"):
        down_crossings(np.zeros((3, 2), np.float32), np.ones(3, bool), 1, threshold)


# In the database

# Directions of two interests, and of what lies between them; "?" has no vector.
KINDS = {"a": (1, 0, 0), "A": (0.9, 0.1, 0), "b": (0, 1, 0), "B": (0, 0.9, 0.2), "c": (0.6, 0.6, 0.5)}
VERSION = "test-encoder"
SWITCH = "aaaaaaaabbbbb"  # at the 11th behaviour three of the five newest are b's, and the five before them a's


def add_vectors(engine: Engine, vectors: Mapping[str, Sequence[float]], version: str = VERSION) -> None:
    with engine.begin() as connection:
        for item, vector in vectors.items():
            connection.execute(text("INSERT INTO liber.item (item_id) VALUES (:i) ON CONFLICT DO NOTHING"), {"i": item})
            connection.execute(
                text("INSERT INTO liber.item_vector SELECT item_key, :v, cast(:x AS vector), '' FROM liber.item"
                     " WHERE item_id = :i"),
                {"v": version, "x": str(list(vector)), "i": item},
            )  # fmt: skip


class Watching:
    """Users who watch items, one behaviour a second."""

    def __init__(self, engine: Engine, settings: Settings, folder: Path) -> None:
        self.engine, self.settings, self.folder = engine, settings, folder
        self.seen: dict[str, int] = {}

    def watch(self, user: str, items: Sequence[str]) -> None:
        """Further behaviours of a user arrive in one file."""
        start = self.seen.get(user, 0)
        rows = [
            behavior(event_id=f"e{start + n}", user_id=user, item_id=item, event_time=1_000_000 + start + n)
            for n, item in enumerate(items, 1)
        ]
        self.seen[user] = start + len(items)
        if rows:
            ingest(self.engine, self.settings, [write_jsonl(self.folder / f"{user}-{start}.jsonl", rows)])

    def request(self, **options: object) -> int:
        """Run the model as `seal` does: in a transaction that holds the locks."""
        with self.engine.begin() as connection:
            keys = connection.execute(text("SELECT user_key FROM liber.user_stream ORDER BY 1")).scalars().all()
            connection.execute(query("partition/lock_streams"), {"users": keys})
            return request_drift_cuts(connection, keys, **options)  # type: ignore[arg-type]

    def cuts(self, user: str) -> list[tuple[int, int, float]]:
        return state.rows(
            self.engine,
            "SELECT decided_seq, last_seq, score FROM liber.partition_cut JOIN liber.user_profile USING (user_key)"
            " WHERE user_id = :user ORDER BY 1",
            user=user,
        )


@pytest.fixture
def watching(engine: Engine, settings: Settings, tmp_path: Path) -> Watching:
    add_vectors(engine, KINDS)
    return Watching(engine, settings, tmp_path)


def partitions(engine: Engine, user: str) -> list[tuple[int, int, str]]:
    return state.rows(
        engine,
        "SELECT first_seq, last_seq, reason::text FROM liber.behavior_partition"
        " JOIN liber.user_profile USING (user_key) WHERE user_id = :user ORDER BY 1",
        user=user,
    )


def test_a_user_whose_interest_switches_is_cut_at_the_switch(watching: Watching, engine: Engine) -> None:
    watching.watch("switches", "aAaaAaAabBbbBbBb")
    watching.watch("stays", "aAaaAaAaaAaaAaAa")
    assert watching.request() == 1
    assert [row[:2] for row in watching.cuts("switches")] == [(11, 6)]
    assert watching.cuts("stays") == []
    report = seal(engine, PartitionRule(k=20, model="drift"), END)
    assert report.reasons == {"model": 1}
    assert partitions(engine, "switches") == [(1, 6, "model")]


def test_the_threshold_says_how_much_must_change_and_the_window_how_long(watching: Watching) -> None:
    watching.watch("u", "aaaaaabbbbb")
    assert watching.request(window=5, threshold=0.01) == 1
    assert [row[:2] for row in watching.cuts("u")] == [(11, 6)]  # exactly at the switch, where nothing is alike
    assert watching.request(window=2, threshold=0.01) == 1
    assert [row[:2] for row in watching.cuts("u")] == [(8, 6), (11, 6)]


def test_a_request_says_which_model_made_it_and_how_sure_it_was(watching: Watching, engine: Engine) -> None:
    watching.watch("u", SWITCH)
    watching.request()
    ((model, score),) = state.rows(engine, "SELECT model, score FROM liber.partition_cut")
    assert model == f"drift/{WINDOW}/{THRESHOLD}/{VERSION}"
    assert score == pytest.approx(2 / np.sqrt(13), abs=1e-4)


def test_items_without_vectors_stop_no_run_and_decide_nothing(watching: Watching) -> None:
    watching.watch("gap at the switch", "aaaaaaaa?bbbbbbb")
    watching.watch("gap before", "?" + SWITCH)
    watching.watch("all unknown", "?!?!?!?!?!?!")
    assert watching.request() == 1
    assert watching.cuts("gap at the switch") == []
    assert [row[:2] for row in watching.cuts("gap before")] == [(12, 7)]


def test_one_user_never_looks_into_another(watching: Watching) -> None:
    for user, items in (("u1", "aaaaaaaa"), ("u2", "bbbbbbbb"), ("u3", "aaaaaaaa")):
        watching.watch(user, items)
    assert watching.request() == 0


def test_asking_again_requests_nothing_new_and_a_new_request_wakes_the_seal(watching: Watching, engine: Engine) -> None:
    examined = (
        "SELECT user_id, examined_rule FROM liber.user_stream JOIN liber.user_profile USING (user_key) ORDER BY 1"
    )
    watching.watch("drifts", SWITCH)
    watching.watch("stays", "aaaaaaaaaaaaa")
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.user_stream SET examined_rule = 7"))
    assert watching.request() == 1
    assert state.rows(engine, examined) == [("drifts", 0), ("stays", 7)]
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.user_stream SET examined_rule = 7"))
    assert watching.request() == 0
    assert state.rows(engine, examined) == [("drifts", 7), ("stays", 7)]


def test_nothing_is_committed_and_no_lock_is_taken_here(watching: Watching, engine: Engine) -> None:
    watching.watch("u", SWITCH)
    with engine.connect() as connection, connection.begin() as transaction:
        keys = connection.execute(text("SELECT user_key FROM liber.user_stream FOR UPDATE")).scalars().all()
        assert request_drift_cuts(connection, keys) == 1
        transaction.rollback()
    assert watching.cuts("u") == []


def test_only_caches_are_asked_for_cuts_but_the_windows_reach_behind_them(watching: Watching, engine: Engine) -> None:
    watching.watch("u", SWITCH)
    seal(engine, PartitionRule(k=6), END)
    assert watching.request() == 0  # the cut after the 6th behaviour comes too late
    watching.watch("u", "bbbbb")  # 18 behaviours, all sealed
    seal(engine, PartitionRule(k=6), END)
    watching.watch("u", "baaaaa")
    assert watching.request() == 0  # the old interest would end with the 17th
    assert watching.request(threshold=0.1) == 1  # 5 a's against 5 b's, 4 of them sealed
    assert [row[:2] for row in watching.cuts("u")] == [(24, 19)]


def test_the_vectors_written_last_count_unless_others_are_named(watching: Watching, engine: Engine) -> None:
    add_vectors(engine, {"a": (1, 0), "b": (1, 0.1)}, "newer-encoder")
    watching.watch("u", SWITCH)
    assert watching.request() == 0  # the newer one finds a and b alike
    assert watching.request(encoder_version=VERSION) == 1


def test_without_item_vectors_it_says_what_to_run(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    Watching(engine, settings, tmp_path).watch("u", SWITCH)
    with pytest.raises(LiberError, match="liber encode --items"):
        seal(engine, PartitionRule(model="drift"), END)


# However the stream comes

stories = st.lists(st.tuples(st.sampled_from(["a", "aA", "b", "bB", "c", "?"]), st.integers(1, 12)), max_size=7).map(
    lambda parts: "".join((kinds * length)[:length] for kinds, length in parts)
)


@fewer
@given(stories, st.lists(st.integers(0, 84), max_size=6), windows, st.sampled_from([0.3, 0.65, 0.9]))
def test_the_same_cuts_are_requested_however_a_stream_is_batched(
    watching: Watching, story: str, borders: list[int], window: int, threshold: float
) -> None:
    whole, pieces = f"w{next(names)}", f"p{next(names)}"
    watching.watch(whole, story)
    borders = sorted(min(border, len(story)) for border in borders)
    for first, last in zip([0, *borders], [*borders, len(story)], strict=True):
        watching.watch(pieces, story[first:last])
        watching.request(window=window, threshold=threshold)
    assert watching.cuts(pieces) == watching.cuts(whole)


@fewer
@given(stories, st.lists(st.integers(0, 84), max_size=6), st.sampled_from([None, 4, 7, 20]))
def test_the_same_partitions_are_sealed_however_a_stream_is_batched(
    watching: Watching, engine: Engine, story: str, borders: list[int], k: int | None
) -> None:
    whole, pieces = f"w{next(names)}", f"p{next(names)}"
    rule = PartitionRule(k=k, model="drift")
    borders = sorted(min(border, len(story)) for border in borders)
    for first, last in zip([0, *borders], [*borders, len(story)], strict=True):
        watching.watch(pieces, story[first:last])
        seal(engine, rule, END)
    watching.watch(whole, story)
    seal(engine, rule, END)
    assert partitions(engine, pieces) == partitions(engine, whole)


def test_the_bounds_of_a_read_change_nothing(
    watching: Watching, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(7):
        watching.watch(f"u{n}", "a" * (8 + n) + "b" * 9 + "?c"[: n % 3] + "a" * 11)
    watching.request()
    expected = [watching.cuts(f"u{n}") for n in range(7)]
    assert sum(map(len, expected)) >= 7
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM liber.partition_cut"))
    monkeypatch.setattr(drift, "USERS_A_READ", 3)
    monkeypatch.setattr(drift, "BEHAVIORS_A_PIECE", 4)
    watching.request()
    assert [watching.cuts(f"u{n}") for n in range(7)] == expected


# With the real encoder

HORROR = ["Halloween", "A Nightmare on Elm Street", "The Texas Chainsaw Massacre", "Friday the 13th", "Scream",
          "Hellraiser", "Dracula", "The Exorcist"]  # fmt: skip
CHILDRENS = ["Cinderella", "Dumbo", "Bambi", "Mary Poppins", "Pinocchio", "The Lion King", "Babe", "The Jungle Book"]


def test_with_minilm_a_move_from_horror_to_childrens_films_is_a_drift(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    films = [{"item_id": t, "title": t, "genres": ["Horror", "Thriller"]} for t in HORROR]
    films += [{"item_id": t, "title": t, "genres": ["Animation", "Children's", "Musical"]} for t in CHILDRENS]
    ingest(engine, settings, [write_jsonl(tmp_path / "items.jsonl", films)], kind="items")
    encode_items(engine, settings)
    watching = Watching(engine, settings, tmp_path)
    watching.watch("moves on", HORROR + CHILDRENS)
    watching.watch("horror", HORROR + HORROR[::-1])
    watching.watch("children's", CHILDRENS + CHILDRENS[::-1])
    seal(engine, PartitionRule(model="drift"), END)
    ((first, last, reason),) = partitions(engine, "moves on")
    assert (first, reason) == (1, "model")
    assert 5 <= last <= len(HORROR)
    assert partitions(engine, "horror") == partitions(engine, "children's") == []
