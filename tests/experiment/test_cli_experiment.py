"""`liber experiment` as its user meets it: a life from the definition to the archive."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from liber_tasks.experiment.assign import Assignment
from tests.experiment.conftest import behave
from tests.test_cli import liber

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture
def database(engine: Engine, database_url: str) -> dict[str, str]:
    """Environment on a database with a week of plays."""
    behave(engine, [(f"u{n * n % 11}", NOW - DAY - n * timedelta(hours=4), 30.0 + n) for n in range(60)])
    return {"LIBER_DATABASE_URL": database_url}


def said(*arguments: str, **environment: str) -> Any:
    done = liber("experiment", *arguments, "--json", **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_life_of_an_experiment(database: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "ab.yaml"
    file.write_text(
        "name: ranking\nhypothesis: More plays.\nlayer: home\nslot: [0, 6000]\ntraffic: 0.5\npre_days: 1\n"
        f"starts_at: {NOW - DAY:%Y-%m-%d}\nends_at: {NOW + 3 * DAY:%Y-%m-%d}\n"
    )
    assert said("power", str(file), **database)["pre_days"] == 1
    assert said("define", str(file), "--check", **database)["written"] is False
    assert said("define", str(file), **database)["created"] is True
    again = liber("experiment", "define", str(file), **database)
    assert again.stdout == "ranking: as before.\n"
    refused = liber("experiment", "define", str(file), "--control", "0.4", **database)
    assert (refused.returncode, "its arms is fixed" in refused.stderr) == (2, True)

    users = [f"u{n}" for n in range(40)]
    arms = said("assign", "ranking", *users, **database)["arms"]
    rule = Assignment("ranking", 0.5, 0.5, "home", (0, 6000), 0.5)
    assert arms == {user: rule.arm_of(user) for user in users}

    log = tmp_path / "served.jsonl"
    log.write_text("".join(json.dumps({"user_id": user, "exposed_at": NOW.isoformat()}) + "\n" for user in users))
    report = said("expose", "ranking", str(log), **database)
    assert report["added"] == sum(arm is not None for arm in arms.values())
    assert said("ramp", "ranking", "--traffic", "1", **database)["share"] == {"control": 0.3, "treatment": 0.3}
    assert said("expose", "ranking", str(log), **database)["added"] > 0

    shown = said("show", "ranking", **database)
    assert (shown["state"], shown["layer"], shown["slot"], shown["pre_days"]) == ("running", "home", [0, 6000], 1)
    assert said("stop", "ranking", **database)["state"] == "over"
    assert said("archive", "ranking", **database)["state"] == "archived"
    assert said("list", **database)["experiments"] == []
    assert [one["name"] for one in said("list", "--archived", **database)["experiments"]] == ["ranking"]


def test_what_people_read_is_short(database: dict[str, str]) -> None:
    days = ("--starts-at", f"{NOW:%Y-%m-%d}", "--ends-at", f"{NOW + 3 * DAY:%Y-%m-%d}")
    options = ("--name", "t", "--hypothesis", "h", *days)
    assert liber("experiment", "define", *options, **database).stdout == "t: defined.\n"
    assert liber("experiment", "define", *options, "--traffic", "1", **database).stdout == "t: as before.\n"
    listed = liber("experiment", "list", COLUMNS="120", **database).stdout.splitlines()
    assert listed[1].split()[:2] == ["t", "running"]
    power = liber("experiment", "power", "t", COLUMNS="120", **database)
    assert "users from" in power.stdout, power.stderr
    assert "play_count" in power.stdout
    assert liber("experiment", "assign", "t", "u1", **database).stdout in ("u1 control\n", "u1 treatment\n")
    shown = liber("experiment", "show", "t", **database).stdout
    assert "hypothesis             h\n" in shown
