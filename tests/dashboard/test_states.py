"""Where an experiment stands, and whether its readout is fresh."""

from datetime import UTC, datetime, timedelta

import pytest

from liber_tasks.dashboard.states import freshness, state

START = datetime(2026, 1, 5, tzinfo=UTC)
ROW = {"starts_at": START, "ends_at": START + timedelta(days=7)}


@pytest.mark.parametrize(
    ("hours", "stage", "words"),
    [
        (-1, "planned", "planned, starts on 5 Jan 2026"),
        (0, "running", "running, day 1 of 7"),
        (24 * 7 - 1, "running", "running, day 7 of 7"),
        (24 * 7, "finished", "finished on 11 Jan 2026"),
    ],
)
def test_an_experiment_is_planned_then_runs_then_is_over(hours: int, stage: str, words: str) -> None:
    assert state(ROW, START + timedelta(hours=hours)) == (stage, words)


def test_one_that_was_stopped_or_archived_says_so() -> None:
    now, then = START + timedelta(days=5), START + timedelta(days=3)
    assert state(ROW | {"stopped_at": then}, now) == ("finished", "stopped on 8 Jan 2026")
    assert state(ROW | {"stopped_at": then, "archived_at": then}, now) == ("archived", "archived on 8 Jan 2026")
    assert state(ROW | {"stopped_at": None, "archived_at": None}, now).stage == "running"


def test_only_a_running_experiment_gets_stale() -> None:
    now = START + timedelta(days=5)
    assert freshness("running", now - timedelta(hours=35), now) == (False, "read 35 hours ago")
    assert freshness("running", now - timedelta(hours=37), now) == (True, "read 37 hours ago")
    assert freshness("finished", now - timedelta(days=90), now) == (False, "read 90 days ago")
    assert freshness("planned", None, now) == (False, "not read yet")
    assert freshness("running", None, now) == (True, "not read yet")
