"""`liber efficiency`: the table, the same as JSON, and Ctrl-C."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import typer
from sqlalchemy import Engine
from typer.testing import CliRunner

from liber_tasks import cli_efficiency
from liber_tasks.config import Settings
from liber_tasks.interest.study.efficiency_report import EfficiencyReport, VariantCost
from tests.interest.data import add_user
from tests.interest.efficiency import answering, at, is_shift
from tests.interest.faults import Reply, Seen, faulty


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The command, with the given settings."""
    app = typer.Typer()
    app.command()(cli_efficiency.efficiency)

    def run(seen: Seen, *arguments: str) -> Any:
        monkeypatch.setattr(cli_efficiency, "settings", lambda: at(settings, seen))
        return CliRunner(env={"COLUMNS": "80"}).invoke(app, list(arguments), catch_exceptions=False)

    return run


def test_json_holds_every_figure_and_how_it_was_measured(engine: Engine, command: Callable[..., Any]) -> None:
    add_user(engine, "a", 3)
    add_user(engine, "b", 2)
    with faulty(answering()) as seen:
        done = command(seen, "--users", "2", "--steps", "3", "--seed", "7", "--in-flight", "2", "--json")
    report = json.loads(done.stdout)
    assert [each["variant"] for each in report["variants"]] == ["full", "no_shift", "length_100", "length_20"]
    for each in report["variants"]:
        assert set(each) == set(VariantCost.__dataclass_fields__)
        assert math.isfinite(each["seconds_per_user_error"])
    assert set(report) == set(EfficiencyReport.__dataclass_fields__)
    assert (report["model"], report["server"], report["seed"], report["in_flight"]) == ("local", "openai local", 7, 2)
    assert sorted(report["users_sampled"]) == ["a", "b"]
    assert report["parameters"]["style"] == "grounded"
    assert not {"variant", "length", "summary_origin"} & set(report["parameters"])
    assert report["questions"] == sum(seen.prompts.values())


def test_the_table_has_the_four_variants_and_says_what_was_lost(engine: Engine, command: Callable[..., Any]) -> None:
    add_user(engine, "a", 3)
    add_user(engine, "[red]none", 0)
    with faulty(lambda number, prompt: Reply(422, "{}") if is_shift(prompt) else answering()(number, prompt)) as seen:
        done = command(seen, "--steps", "2")
    lines = done.stdout.splitlines()
    for label, calls in (
        ("LIBER  ", "2.50"), ("LIBER without", "1.50"), ("LLM (length=100)", "4.50"),
        ("LLM (length=20)", "4.50"),
    ):  # fmt: skip
        assert calls in next(line for line in lines if line.strip().startswith(label))
    assert "LIBER: without a time are 0 calls that failed, 2 that got no usable answer" in done.stdout
    assert "Over the 1 users that have a partition, calls per user: LIBER 5.00" in done.stdout


def test_ctrl_c_stops_it_at_once_without_a_traceback(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 3)
    never = threading.Event()
    program = (
        "import signal, typer; from liber_tasks.cli_efficiency import efficiency;"
        # as at a terminal: what a shell starts in the background, this suite perhaps, ignores SIGINT, children too
        "signal.signal(signal.SIGINT, signal.default_int_handler); typer.run(efficiency)"
    )
    with faulty(lambda *_: Reply(held=never)) as seen:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LIBER_")}
        wanted = {"LIBER_DATABASE_URL": settings.require("database_url"), "LIBER_LLM_URL": seen.url}
        child = subprocess.Popen(
            [sys.executable, "-c", program],
            env=kept | wanted,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert seen.asked.wait(60)
        child.send_signal(signal.SIGINT)
        stdout, stderr = child.communicate(timeout=30)
        never.set()
    assert child.returncode == 130
    assert stdout == ""
    assert "Traceback" not in stderr
