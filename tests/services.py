"""Real services that several test folders share."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.conftest import free_port


@contextmanager
def llm_server(tmp: Path) -> Iterator[str]:
    """The embedded LLM server as a process of its own; yields its URL, logs into `tmp`."""
    port = free_port()
    command = [sys.executable, "-m", "liber_tasks.local.llm_server", "--port", str(port), "--threads", "1"]
    with (tmp / "llm_server.log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not answers(f"{url}/health"):
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The LLM server did not start: {(tmp / 'llm_server.log').read_text()}")
            time.sleep(0.1)
        yield url
    finally:
        child.terminate()
        child.wait(10)


def answers(url: str) -> bool:
    """Whether a GET succeeds."""
    try:
        with urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False
