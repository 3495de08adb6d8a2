"""Promises of requested cut points: any model may ask, sealed partitions stay, nothing is asked twice."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from liber_tasks.partition import cuts
from liber_tasks.partition.cuts import Cut, CutReport, request_cuts
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests.behavior import state
from tests.partition.oracle import Event
from tests.partition.streams import partitions, write

END = datetime(2100, 1, 1, tzinfo=UTC)
REQUESTED = PartitionRule(k=None, model="requested")


@pytest.fixture
def stream(engine: Engine, settings: Settings, tmp_path: Path) -> Engine:
    """Users u and v with ten behaviours each, e0 to e9."""
    ingest(
        engine, settings, [write(tmp_path / "e.jsonl", {u: [Event(f"e{n}", 100 + n) for n in range(10)] for u in "uv"})]
    )
    return engine


def stored(engine: Engine) -> list[tuple]:
    return state.rows(
        engine,
        "SELECT user_id, decided_seq, last_seq, model, score FROM liber.partition_cut"
        " JOIN liber.user_profile USING (user_key) ORDER BY 1, 2",
    )


def sizes(engine: Engine, user: str) -> list[tuple[int, str]]:
    return [(len(partition.members), partition.reason) for partition in partitions(engine, user)[user]]


def test_the_next_seal_closes_the_cache_after_the_event(stream: Engine) -> None:
    asked = [Cut("u", "e3"), Cut("v", "e1", decided_event_id="e4", score=0.25)]
    assert request_cuts(stream, asked, "outside/1") == CutReport(requested=2, repeated=0, sealed=0)
    assert stored(stream) == [("u", 4, 4, "outside/1", None), ("v", 5, 2, "outside/1", 0.25)]
    seal(stream, REQUESTED, END)
    assert (sizes(stream, "u"), sizes(stream, "v")) == ([(4, "model")], [(2, "model")])


def test_a_cache_that_was_looked_at_before_is_looked_at_again(stream: Engine) -> None:
    assert seal(stream, REQUESTED, END).partitions == 0
    examined = "SELECT count(*) FROM liber.user_stream WHERE examined_rule = 0"
    assert state.rows(stream, examined) == [(0,)]
    request_cuts(stream, [Cut("v", "e1")], "outside/1")
    assert state.rows(stream, examined) == [(1,)]
    assert seal(stream, REQUESTED, END).partitions == 1


def test_a_repeated_request_is_counted_and_changes_nothing(stream: Engine) -> None:
    request_cuts(stream, [Cut("u", "e3")], "outside/1")
    seal(stream, PartitionRule(k=None, model="requested"), datetime(1971, 1, 1, tzinfo=UTC), users=["v"])
    before = stored(stream), state.everything(stream)
    again = [Cut("u", "e3"), Cut("u", "e3", score=0.5), Cut("u", "e1", decided_event_id="e3")]
    assert request_cuts(stream, again, "outside/2") == CutReport(requested=0, repeated=3, sealed=0)
    assert (stored(stream), state.everything(stream)) == before


def test_of_several_requests_at_one_behaviour_the_first_holds(stream: Engine) -> None:
    asked = [Cut("u", "e4", decided_event_id="e6"), Cut("u", "e2", decided_event_id="e6")]
    assert request_cuts(stream, asked, "outside/1") == CutReport(requested=1, repeated=1, sealed=0)
    assert stored(stream) == [("u", 7, 5, "outside/1", None)]


def test_a_request_inside_a_sealed_partition_is_counted_and_left_out(stream: Engine) -> None:
    seal(stream, PartitionRule(k=6), END, users=["u"])
    asked = [Cut("u", "e5", decided_event_id="e8"), Cut("u", "e6"), Cut("u", "e7")]
    assert request_cuts(stream, asked, "outside/1") == CutReport(requested=2, repeated=0, sealed=1)
    seal(stream, REQUESTED, END)
    assert sizes(stream, "u") == [(6, "count"), (1, "model"), (1, "model")]


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (Cut("nobody", "e1"), "User 'nobody' is unknown"),
        (Cut("u", "e99"), "User 'u' has no event 'e99'"),
        (Cut("u", "e1", decided_event_id="x"), "User 'u' has no event 'x'"),
        (Cut("u", "e5", decided_event_id="e4"), "event 'e4' cannot decide to cut after 'e5'"),
    ],
)
def test_what_cannot_be_placed_is_named_and_nothing_is_kept(
    stream: Engine, monkeypatch: pytest.MonkeyPatch, cut: Cut, message: str
) -> None:
    monkeypatch.setattr(cuts, "CUTS_A_STATEMENT", 2)
    with pytest.raises(InputError, match=message):
        request_cuts(stream, [Cut("u", "e1"), Cut("u", "e2"), Cut("u", "e3"), cut], "outside/1")
    assert stored(stream) == []


def test_a_model_must_have_a_name(stream: Engine) -> None:
    with pytest.raises(InputError, match="name the model"):
        request_cuts(stream, [Cut("u", "e1")], " ")


def test_no_request_is_no_error(stream: Engine) -> None:
    assert request_cuts(stream, [], "outside/1") == CutReport(0, 0, 0)


def test_requests_beyond_one_statement_are_all_kept(stream: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "CUTS_A_STATEMENT", 3)
    asked = [Cut(user, f"e{n}") for n in range(10) for user in "uv"]
    assert request_cuts(stream, asked, "outside/1").requested == 20
    seal(stream, REQUESTED, END)
    assert sizes(stream, "u") == sizes(stream, "v") == [(1, "model")] * 10


def test_a_request_waits_for_a_seal_at_work_and_sees_what_it_sealed(stream: Engine) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from liber_tasks.db import query

    with ThreadPoolExecutor(1) as pool:
        with stream.begin() as sealer:
            users = sealer.execute(text("SELECT user_key FROM liber.user_stream")).scalars().all()
            sealer.execute(query("partition/lock_streams"), {"users": users})
            asking = pool.submit(request_cuts, stream, [Cut("u", "e3")], "outside/1")
            while not sealer.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one():
                assert not asking.done(), "the request did not wait for the lock"
            sealer.execute(text("UPDATE liber.user_stream SET first_unsealed_seq = 6, last_partition_no = 1"))
        assert asking.result(timeout=30) == CutReport(requested=0, repeated=0, sealed=1)
