"""Accidents when the local stack starts."""

import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from liber_tasks.config import Settings, duration
from liber_tasks.errors import InputError
from liber_tasks.local import stack as local_stack
from liber_tasks.local.environment import MARKER, SERVICES, Stack
from tests.conftest import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path / "var", Settings(_env_file=None, **{f"port_{name}": free_port() for name in SERVICES}))


def test_a_port_in_use_names_the_setting_and_starts_nothing(stack: Stack) -> None:
    with (
        socket.create_server(("127.0.0.1", stack.ports["mlflow"])),
        pytest.raises(InputError, match="LIBER_PORT_MLFLOW"),
    ):
        local_stack.up(stack)
    assert not stack.var.exists()


def test_down_stops_what_a_killed_stack_left_behind_and_nothing_else(stack: Stack) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    ours = subprocess.Popen(sleeper, env={MARKER: str(stack.var)})
    other = subprocess.Popen(sleeper, env={MARKER: str(stack.var) + "-other"})
    try:
        assert local_stack.down(stack) == 1
        assert not psutil.pid_exists(ours.pid)
        assert other.poll() is None
    finally:
        for child in (ours, other):
            child.kill()
            child.wait()


def test_its_processes_read_durations_as_they_were_set(stack: Stack) -> None:
    given = Settings(_env_file=None, deadline="90s", learn_max_time="100d")
    variables = Stack(stack.var, given).environment()
    assert duration(variables["LIBER_DEADLINE"]) == given.deadline
    assert duration(variables["LIBER_LEARN_MAX_TIME"]) == given.learn_max_time
    assert "LIBER_PARTITION_GAP" not in variables


def test_generated_secrets_are_private_and_stay(stack: Stack) -> None:
    stack.write()
    assert (stack.var / "secrets.json").stat().st_mode & 0o077 == 0
    assert (stack.var / "local.env").stat().st_mode & 0o077 == 0
    assert Stack(stack.var, stack.settings).secrets == stack.secrets


@pytest.mark.parametrize(("python", "said"), [("/bin/false", "needs 3.11"), ("", "No Python found")])
def test_a_wrong_python_is_one_sentence(python: str, said: str) -> None:
    done = subprocess.run([ROOT / "infra" / "check_python.sh", python], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("chosen", "tokens"), [({}, "40"), ({"item_max_tokens": 77}, "77"), ({"llm_model": "other"}, "200")]
)
def test_the_embedded_model_says_a_sentence_about_an_item_unless_told_otherwise(
    tmp_path: Path, chosen: dict[str, object], tokens: str
) -> None:
    made = Stack(tmp_path / "var", Settings(_env_file=None, **chosen)).liber_environment()
    assert made["LIBER_ITEM_MAX_TOKENS"] == tokens
