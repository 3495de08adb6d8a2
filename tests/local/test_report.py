"""What the demo prints at its end."""

import pytest
from sqlalchemy import Engine

from liber_tasks.experiment.readout import readout
from liber_tasks.experiment.simulate import simulate
from liber_tasks.local.report import show_readout
from liber_tasks.local.show import console


def test_the_readout_is_shown_beside_what_was_planted(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", 200)
    simulate(engine, name="shown", users=10_000)
    found = readout(engine, "shown").metrics["play_time"]
    with console.capture() as printed:
        show_readout(engine, "shown")
    said = printed.get()
    assert "SIMULATED" in said
    (row,) = [line for line in said.splitlines() if line.split()[:2] == ["play", "time"]]
    for lift in (0.0769, found.raw.lift, found.cuped.lift):
        assert f"{lift:+.2%}" in row
