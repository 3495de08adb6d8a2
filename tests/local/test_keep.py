"""What `infra/keep.sh` does with a process of the stack that ends."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from liber_tasks.config import ROOT

ENDING = 'echo "$$" >> "$LIBER_VAR/begun"; exit 7'
LASTING = 'echo "$$" >> "$LIBER_VAR/begun"; exec sleep 600'


def keep(folder: Path, command: str) -> "subprocess.Popen[bytes]":
    """As the process manager starts it: in a session of its own."""
    return subprocess.Popen([ROOT / "infra" / "keep.sh", "sh", "-c", command], start_new_session=True,
                            env={**os.environ, "LIBER_VAR": str(folder)})  # fmt: skip


def begun(folder: Path, times: int) -> list[int]:
    """Process ids of the command, once it was begun so often."""
    deadline = time.monotonic() + 60
    while len(found := (folder / "begun").read_text().split() if (folder / "begun").exists() else []) < times:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return [int(pid) for pid in found]


def test_before_the_stack_is_up_the_end_of_one_process_is_the_end_of_its_keeper(tmp_path: Path) -> None:
    assert keep(tmp_path, ENDING).wait(60) == 7
    assert len(begun(tmp_path, 1)) == 1


@pytest.mark.parametrize("command", [ENDING, LASTING])
def test_once_the_stack_is_up_a_process_that_ends_is_started_again_until_all_is_stopped(
    tmp_path: Path, command: str
) -> None:
    (tmp_path / "up").touch()
    keeper = keep(tmp_path, command)
    try:
        (first,) = begun(tmp_path, 1)
        if command == LASTING:
            os.kill(first, signal.SIGKILL)
        assert len(set(begun(tmp_path, 2))) == 2
        os.killpg(keeper.pid, signal.SIGTERM)
        keeper.wait(60)
        with pytest.raises(ProcessLookupError):
            os.killpg(keeper.pid, 0)
    finally:
        if keeper.poll() is None:
            os.killpg(keeper.pid, signal.SIGKILL)
            keeper.wait()
