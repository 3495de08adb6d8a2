"""Promise: every interleaving of two calls gives what they give one after another, in some order.

Each test plays all orders in which the statements that lock, write and commit can follow each other.
"""

import os
from collections.abc import Sequence

import pytest
from sqlalchemy import text

from liber_tasks.behavior.ingest import ingest
from liber_tasks.errors import ServiceUnavailable
from tests.behavior.files import behavior, write_jsonl
from tests.concurrency import serial
from tests.concurrency.scene import LATE, ON_TIME, WATERMARK, Scene, sealed_at_last
from tests.concurrency.serial import Act
from tests.concurrency.stepping import Job, Trace, explore, play
from tests.partition.oracle import Event, Rule

DRAWN = int(os.environ.get("LIBER_INTERLEAVINGS", "25"))  # where there are too many to play all
RULES = {
    "count": Rule(k=3),
    "gap": Rule(gap=9),
    "age": Rule(max_age=25),
    "all": Rule(k=4, gap=12, max_age=35, min_events=2),
    "model": Rule(k=5, model=True),
}


def test_two_files_of_one_user_with_an_event_in_common(scene: Scene) -> None:
    def acts(user: str) -> Sequence[Act]:
        return [scene.load(user, "x", [*ON_TIME, *LATE[:2]]), scene.load(user, "y", [*LATE, ON_TIME[1]])]

    assert scene.play(acts, sealed_at_last(RULES["all"])) > 5


def test_one_file_given_to_two_ingesters(scene: Scene) -> None:
    def acts(user: str) -> Sequence[Act]:
        return [scene.load(user, "x", LATE, ("behavior/start_file", *serial.INGEST))] * 2

    assert scene.play(acts, sealed_at_last(RULES["all"])) > 5


@pytest.mark.parametrize("stop", ["behavior/stage_known", *serial.INGEST_NEW, "behavior/finish_file"])
def test_a_file_whose_ingester_dies_is_loaded_by_the_one_that_waits(scene: Scene, stop: str) -> None:
    dying, waiting = (scene.load("u", "x", ON_TIME, stops) for stops in ((stop,), ("behavior/start_file",)))

    def choose(step: int, able: list[int]) -> int:
        if 1 in able:
            return 1  # goes as far as to wait for the other one
        with scene.engine.begin() as connection:
            connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": jobs[0].backend})
        return 0

    jobs = [act.job(seat) for act, seat in zip((dying, waiting), scene.seats, strict=False)]
    assert str(play(scene.engine, jobs, choose)) == f"1:behavior/start_file 0:{stop}"
    assert isinstance(jobs[0].error, ServiceUnavailable)
    assert waiting.said(jobs[1].result) == (len(ON_TIME), 0)
    assert [event for event, _ in serial.arrived(scene.engine, "u")] == ON_TIME


def test_two_files_that_bring_new_users_and_new_items(scene: Scene) -> None:
    """Nobody deadlocks, whichever order they come in; the streams of two users are independent."""
    stops = ("behavior/add_users", "behavior/add_items", *serial.INGEST)
    new = [Event(f"e{n}", 1000) for n in range(3)]

    def setup(number: int) -> Sequence[Job]:
        users = [f"{number}-{user}" for user in "ab"]
        paths = [
            write_jsonl(scene.folder / f"{number}-{name}.jsonl", [
                behavior(0, user_id=user, event_id=f"{name}{e.event_id}", item_id=f"{number}{user}{e.event_id}")
                for user in users for e in new
            ][::step])
            for name, step in (("x", 1), ("y", -1))
        ]  # fmt: skip
        return [
            Job(seat, lambda engine, path=path: ingest(engine, scene.settings, [path]), stops)
            for seat, path in zip(scene.seats, paths, strict=False)
        ]

    def check(number: int, trace: Trace) -> None:
        assert [job.error for job in trace.jobs] == [None, None]
        assert [job.result.accepted for job in trace.jobs] == [2 * len(new)] * 2
        files = {
            user: [event.event_id[0] for event, _ in serial.arrived(scene.engine, f"{number}-{user}")] for user in "ab"
        }
        assert files["a"] == files["b"]  # who locked first locked both
        assert files["a"] in (["x"] * 3 + ["y"] * 3, ["y"] * 3 + ["x"] * 3)

    assert explore(scene.engine, setup, check) > 1


def test_two_files_of_a_user_nobody_has_met(scene: Scene) -> None:
    def acts(user: str) -> Sequence[Act]:
        return [
            scene.load(user, "x", ON_TIME, serial.INGEST_NEW),
            scene.load(user, "y", [*LATE, ON_TIME[0]], serial.INGEST_NEW),
        ]

    assert scene.play(acts, sealed_at_last(RULES["all"]), base=()) > 5


@pytest.mark.parametrize("arriving", [ON_TIME, LATE], ids=["on time", "late"])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_file_and_a_sealer(scene: Scene, rule: Rule, arriving: list[Event]) -> None:
    def acts(user: str) -> Sequence[Act]:
        return [scene.load(user, "x", arriving), serial.close(user, rule, WATERMARK)]

    assert scene.play(acts, sealed_at_last(rule)) > 5


@pytest.mark.parametrize("other", ["all", "count", "gap"])
def test_two_sealers_of_the_same_or_of_different_rules(scene: Scene, other: str) -> None:
    def acts(user: str) -> Sequence[Act]:
        return [serial.close(user, RULES["all"], WATERMARK), serial.close(user, RULES[other], WATERMARK - 40)]

    assert scene.play(acts, sealed_at_last(RULES["all"])) > 5


def test_a_request_and_a_sealer(scene: Scene) -> None:
    def acts(user: str) -> Sequence[Act]:
        return [serial.request(user, "b2", "b3"), serial.close(user, RULES["model"], WATERMARK)]

    assert scene.play(acts, sealed_at_last(RULES["model"])) > 5


def test_a_request_and_a_file(scene: Scene) -> None:
    def acts(user: str) -> Sequence[Act]:
        return [serial.request(user, "b2", "b5"), scene.load(user, "x", LATE)]

    assert scene.play(acts, sealed_at_last(RULES["model"])) > 5


def test_two_requests_at_one_behaviour(scene: Scene) -> None:
    def acts(user: str) -> Sequence[Act]:
        return [serial.request(user, "b2", "b5"), serial.request(user, "b4", "b5")]

    assert scene.play(acts, sealed_at_last(RULES["model"])) > 5


@pytest.mark.parametrize("rule", [RULES["count"], RULES["all"]], ids=["count", "all"])
def test_two_files_and_a_sealer(scene: Scene, rule: Rule) -> None:
    def acts(user: str) -> Sequence[Act]:
        return [scene.load(user, "x", ON_TIME), scene.load(user, "y", LATE), serial.close(user, rule, WATERMARK)]

    assert scene.play(acts, sealed_at_last(rule), drawn=DRAWN) == DRAWN


def test_a_file_a_request_and_two_sealers(scene: Scene) -> None:
    def acts(user: str) -> Sequence[Act]:
        return [
            scene.load(user, "x", ON_TIME),
            serial.request(user, "b2", "b5"),
            serial.close(user, RULES["model"], WATERMARK),
            serial.close(user, RULES["all"], WATERMARK - 40),
        ]

    assert scene.play(acts, sealed_at_last(RULES["model"]), drawn=DRAWN) == DRAWN
