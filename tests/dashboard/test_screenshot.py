"""The picture tool."""

import subprocess
import sys
from pathlib import Path

from liber_tasks.config import ROOT
from tests.conftest import free_port


def picture(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "infra" / "screenshot.py"), *arguments], capture_output=True, text=True, check=False
    )


def test_a_page_becomes_a_png_of_the_asked_size(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<h1>Hello</h1>")
    out = tmp_path / "new" / "page.png"
    done = picture(
        (tmp_path / "page.html").as_uri(), str(out), "--width", "400", "--height", "300", "--wait-for", "Hello"
    )
    assert done.returncode == 0, done.stderr
    data = out.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) == (400, 300)


def test_a_page_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    done = picture(f"http://127.0.0.1:{free_port()}/", str(tmp_path / "none.png"))
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "none.png").exists()
