"""The life of an experiment: what may change when, and who was first."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from liber_tasks.errors import InputError
from liber_tasks.experiment.define import define
from liber_tasks.experiment.exposure import log_exposures
from liber_tasks.experiment.life import archive, ramp, standing, standings, stop
from liber_tasks.experiment.simulate import simulate
from tests.experiment.defining import AFTER, BEFORE, DURING, END, START, definition, rows

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HALF = {"layer": "home", "slot": [0, 5000]}


# Define


def test_a_definition_is_stored_and_read_back_whole(engine: Engine) -> None:
    given = definition(**HALF, traffic=0.2, arms={"control": 0.3, "treatment": 0.6}, pre_days=14, segments=["age"])
    report = define(engine, given, now=BEFORE)
    assert (report.created, report.written, report.changed) == (True, True, ())
    state, stored, _ = standing(engine, "ranking", now=BEFORE)
    assert stored.plan == given.plan
    assert stored.assignment == given.assignment
    assert (stored.starts_at, stored.ends_at, stored.hypothesis) == (START, END, "More plays.")
    assert (state.state, state.share) == ("planned", {"control": 0.03, "treatment": 0.06})


@pytest.mark.parametrize("now", [BEFORE, DURING, AFTER])
def test_the_same_definition_again_changes_nothing(engine: Engine, now: Any) -> None:
    define(engine, definition(**HALF), now=BEFORE)
    before = rows(engine, "experiment")
    report = define(engine, definition(**HALF), now=now)
    assert (report.created, report.written, report.changed) == (False, False, ())
    assert rows(engine, "experiment") == before


def test_a_check_writes_nothing_and_finds_the_same_mistakes(engine: Engine) -> None:
    assert define(engine, definition(), now=BEFORE, check=True).to_dict() == {
        "experiment": "ranking", "created": True, "changed": (), "written": False,
    }  # fmt: skip
    assert rows(engine, "experiment") == []
    define(engine, definition(name="other", **HALF), now=BEFORE)
    with pytest.raises(InputError, match="overlaps that of experiment 'other'"):
        define(engine, definition(**HALF), now=BEFORE, check=True)


def test_before_the_start_a_definition_may_be_replaced(engine: Engine) -> None:
    define(engine, definition(), now=BEFORE)
    report = define(engine, definition(salt="s", traffic=0.5, pre_days=3), now=BEFORE)
    assert set(report.changed) == {"salt", "traffic", "pre_days"}
    stored = standing(engine, "ranking")[1]
    assert (stored.salt, stored.traffic, stored.plan.pre_days) == ("s", 0.5, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"salt": "another"},
        {"arms": {"control": 0.4, "treatment": 0.5}},
        {"layer": "search", "slot": [0, 5000]},
        {"slot": [0, 6000]},
        {"starts_at": START - DAY},
        {"pre_days": 3},
        {"metrics": [{"name": "play_time", "role": "primary"}]},
        {"looks": "none"},
        {"minimum_detectable_effect": 0.05},
        {"segments": ["age"]},
        {"bots": {"plays_per_day": 10}},
        {"models": {"control": "models:/x/1", "treatment": "models:/x/2"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_once_it_has_begun_the_design_is_fixed(engine: Engine, change: dict[str, Any]) -> None:
    define(engine, definition(**HALF), now=BEFORE)
    before = rows(engine, "experiment")
    with pytest.raises(InputError, match=rf"its {next(iter(change))} is fixed at .*define another name"):
        define(engine, definition(**{**HALF, **change}), now=DURING)
    assert rows(engine, "experiment") == before


def test_an_exposure_fixes_the_design_before_the_start(engine: Engine) -> None:
    define(engine, definition(), now=BEFORE)
    log_exposures(engine, "ranking", [("u", START)])
    with pytest.raises(InputError, match="has exposed users: its salt is fixed"):
        define(engine, definition(salt="s"), now=BEFORE)
    with pytest.raises(InputError, match="only grows"):
        define(engine, definition(traffic=0.5), now=BEFORE)


def test_hypothesis_end_and_traffic_may_change_while_it_runs(engine: Engine) -> None:
    define(engine, definition(traffic=0.1), now=BEFORE)
    report = define(engine, definition(traffic=0.2, hypothesis="Better said.", ends_at=END + DAY), now=DURING)
    assert set(report.changed) == {"hypothesis", "traffic", "ends_at"}
    with pytest.raises(InputError, match=r"traffic 0\.2, which only grows"):
        define(engine, definition(traffic=0.1, hypothesis="Better said.", ends_at=END + DAY), now=DURING)
    with pytest.raises(InputError, match=r"ends_at is .* which has passed"):
        define(engine, definition(traffic=0.2, ends_at=START + DAY), now=DURING)


def test_what_is_over_is_not_taken_up_again(engine: Engine) -> None:
    define(engine, definition(), now=BEFORE)
    with pytest.raises(InputError, match=r"ended at 2026-03-16.* and is not taken up again"):
        define(engine, definition(ends_at=AFTER + DAY), now=AFTER)


def test_a_salt_is_one_experiments(engine: Engine) -> None:
    define(engine, definition(), now=BEFORE)
    with pytest.raises(InputError, match="salt 'ranking' is that of experiment 'ranking'"):
        define(engine, definition(name="again", salt="ranking"), now=BEFORE)


def test_a_simulated_experiment_is_not_defined_over(engine: Engine) -> None:
    simulate(engine, name="ranking", users=100)
    with pytest.raises(InputError, match="is simulated: choose another name"):
        define(engine, definition(), now=BEFORE)


# Layers


@pytest.mark.parametrize(
    "other",
    [
        {"layer": "home", "slot": [5000, 10_000]},
        {"layer": "search", "slot": [0, 5000]},
        {},
        {**HALF, "starts_at": END, "ends_at": END + DAY},
        {**HALF, "starts_at": START - DAY, "ends_at": START},
    ],
    ids=["other buckets", "other layer", "no layer", "later", "earlier"],
)
def test_experiments_apart_live_side_by_side(engine: Engine, other: dict[str, Any]) -> None:
    define(engine, definition(**HALF), now=BEFORE)
    assert define(engine, definition(name="other", **other), now=BEFORE).created


@pytest.mark.parametrize(
    "other",
    [{"slot": [4999, 10_000]}, {}, {"slot": [0, 1], "starts_at": END - HOUR, "ends_at": END + DAY}],
    ids=["one bucket", "the whole layer", "one hour"],
)
def test_slots_of_a_layer_do_not_overlap_in_time(engine: Engine, other: dict[str, Any]) -> None:
    define(engine, definition(**HALF), now=BEFORE)
    with pytest.raises(
        InputError, match=r"overlaps that of experiment 'ranking', which has \[0, 5000\] from 2026-03-02"
    ):
        define(engine, definition(name="other", layer="home", **other), now=BEFORE)
    assert len(rows(engine, "experiment")) == 1


def test_an_end_that_moves_into_another_experiments_time_is_refused(engine: Engine) -> None:
    define(engine, definition(**HALF), now=BEFORE)
    define(engine, definition(name="next", **HALF, starts_at=END, ends_at=END + DAY), now=BEFORE)
    with pytest.raises(InputError, match="overlaps that of experiment 'next'"):
        define(engine, definition(**HALF, ends_at=END + HOUR), now=DURING)


def test_of_two_that_want_a_slot_at_once_one_gets_it(engine: Engine) -> None:
    def attempt(n: int) -> str:
        try:
            define(engine, definition(name=f"e{n}", **HALF), now=BEFORE)
        except InputError as error:
            return str(error)
        return "defined"

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(attempt, range(4)))
    assert found.count("defined") == 1
    assert sum("overlaps that of experiment" in one for one in found) == 3
    assert len(rows(engine, "experiment")) == 1


def test_of_two_that_define_one_name_at_once_the_second_finds_it_there(engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: define(engine, definition(), now=BEFORE).created, range(4)))
    assert sorted(found) == [False, False, False, True]


# Ramp, stop, archive


def test_a_ramp_only_grows_while_it_runs(engine: Engine) -> None:
    define(engine, definition(traffic=0.5), now=BEFORE)
    assert ramp(engine, "ranking", 0.1, now=BEFORE).traffic == 0.1
    assert ramp(engine, "ranking", 0.2, now=DURING).changed
    assert not ramp(engine, "ranking", 0.2, now=DURING).changed
    with pytest.raises(InputError, match=r"Give more than 0.2, or stop it and define another"):
        ramp(engine, "ranking", 0.1, now=DURING)
    with pytest.raises(InputError, match="'ranking' is over: its traffic cannot change"):
        ramp(engine, "ranking", 0.3, now=AFTER)
    with pytest.raises(InputError, match=r"traffic is 1.5"):
        ramp(engine, "ranking", 1.5, now=DURING)
    assert standing(engine, "ranking")[1].traffic == 0.2


def test_a_stopped_experiment_ends_when_it_was_stopped_and_frees_its_slot(engine: Engine) -> None:
    define(engine, definition(**HALF), now=BEFORE)
    found = stop(engine, "ranking", now=DURING)
    assert (found.state, found.changed, found.ends_at, found.stopped_at) == ("over", True, DURING, DURING)
    assert not stop(engine, "ranking", now=AFTER).changed
    assert define(engine, definition(name="next", **HALF, starts_at=DURING + HOUR), now=DURING).created
    with pytest.raises(InputError, match="was stopped at"):
        define(engine, definition(**HALF), now=DURING + HOUR)


def test_what_has_not_begun_is_archived_not_stopped(engine: Engine) -> None:
    define(engine, definition(**HALF), now=BEFORE)
    with pytest.raises(InputError, match=r"nothing to stop. Archive it"):
        stop(engine, "ranking", now=BEFORE)
    assert archive(engine, "ranking", now=BEFORE).state == "archived"
    assert define(engine, definition(name="next", **HALF), now=BEFORE).created


def test_only_what_is_over_is_archived_and_then_hidden(engine: Engine) -> None:
    define(engine, definition(), now=BEFORE)
    with pytest.raises(InputError, match="stop it before you archive it"):
        archive(engine, "ranking", now=DURING)
    assert archive(engine, "ranking", now=AFTER).changed
    assert not archive(engine, "ranking", now=AFTER + DAY).changed
    assert rows(engine, "experiment")[0]["archived_at"] == AFTER
    assert standings(engine, now=AFTER) == []
    assert [one.state for one in standings(engine, archived=True, now=AFTER)] == ["archived"]
    with pytest.raises(InputError, match="is archived"):
        define(engine, definition(hypothesis="Late thoughts."), now=AFTER)


@pytest.mark.parametrize("change", [lambda e: ramp(e, "x", 1), lambda e: stop(e, "x"), lambda e: archive(e, "x")])
def test_an_unknown_experiment_is_named_with_those_there_are(engine: Engine, change: Callable[[Engine], Any]) -> None:
    define(engine, definition(), now=BEFORE)
    with pytest.raises(InputError, match="'x' is unknown: there are 'ranking'"):
        change(engine)


def test_experiments_from_before_there_were_definitions_are_listed(engine: Engine) -> None:
    simulate(engine, name="old", users=100)
    define(engine, definition(), now=BEFORE)
    assert [(one.name, one.simulated) for one in standings(engine)] == [("ranking", False), ("old", True)]


def test_an_archive_waits_for_exposures_that_are_being_written(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    define(engine, definition(), now=BEFORE)
    order: list[str] = []

    def slowly() -> Any:
        future = pool.submit(lambda: (archive(engine, "ranking", now=AFTER), order.append("archived")))
        assert not _done_within(future, 0.3)
        order.append("written")
        yield ("u", DURING)

    with ThreadPoolExecutor(1) as pool:
        assert log_exposures(engine, "ranking", slowly()).added == 1
    assert order == ["written", "archived"]
    assert log_exposures(engine, "ranking", [("v", DURING)]).refused == {"archived": 1}
    assert len(rows(engine, "exposure")) == 1


def _done_within(future: Any, seconds: float) -> bool:
    try:
        future.result(timeout=seconds)
    except TimeoutError:
        return False
    return True
