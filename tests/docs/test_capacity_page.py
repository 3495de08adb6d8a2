"""What the page on capacity shows is what `liber plan` prints."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from liber_tasks.config import ROOT

PAGE = (ROOT / "docs" / "capacity.md").read_text()
SHOWN = re.findall(r"^```console\n\$ (liber plan .*?)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_three_sizes_are_worked() -> None:
    assert [float(shlex.split(command)[3]) for command, _ in SHOWN] == [1e6, 1e8, 1e9]


@pytest.mark.parametrize(("command", "shown"), SHOWN, ids=[command for command, _ in SHOWN])
def test_a_plan_on_the_page_is_what_the_command_prints(command: str, shown: str) -> None:
    words = [Path(sys.executable).with_name("liber"), *shlex.split(command)[1:]]
    done = subprocess.run(words, env={**os.environ, "COLUMNS": "120"}, capture_output=True, text=True, check=True)
    assert " ".join(done.stdout.split()).startswith(" ".join(shown.split()))
