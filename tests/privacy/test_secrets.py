"""The gate against secrets in the repository, and the audit that must not pretend."""

import subprocess
import sys
from pathlib import Path

import pytest

from liber_tasks.config import ROOT

BIN = str(Path(sys.executable).parent)
PLANTED = {
    "a key of AWS": "key = '" + "AKIA" + "Z7Q4M2X9C5V8B1N3'",
    "a private key": "-----BEGIN RSA PRIVATE " + "KEY-----",
    "a password in an address": "postgresql://liber:" + "Kq83hZpw" + "@db.example/liber",
}


def scan(*files: Path) -> "subprocess.CompletedProcess[str]":
    command = [ROOT / "infra" / "scan_secrets.sh", BIN, *files]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_a_planted_secret_is_caught_and_the_place_is_named(tmp_path: Path) -> None:
    files = []
    for number, secret in enumerate(PLANTED.values()):
        files.append(tmp_path / f"settings{number}.py")
        files[-1].write_text(f"# nothing\n{secret}\n")
    done = scan(*files)
    assert done.returncode == 1
    for file in files:
        assert f"{file.name}:2" in done.stdout


def test_what_is_none_passes_and_the_baseline_is_left_alone(tmp_path: Path) -> None:
    baseline = (ROOT / ".secrets.baseline").read_bytes()
    (tmp_path / "a.py").write_text("password = settings.password\n")
    moved = tmp_path / "known.py"
    moved.write_text("\n\n" + PLANTED["a password in an address"] + "  # pragma: allowlist secret\n")
    done = scan(tmp_path / "a.py", moved, Path("tests/test_config.py"))
    assert (done.returncode, done.stdout) == (0, "")
    assert (ROOT / ".secrets.baseline").read_bytes() == baseline


def test_the_gate_scans_with_every_other_lint() -> None:
    makefile = (ROOT / "Makefile").read_text()
    lint = makefile.split("\nlint:")[1].split("\n\n")[0]
    assert "infra/scan_secrets.sh" in lint
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert "lint" in makefile.split("\ntest:")[1].split("\n")[0].split()


AUDITOR = """#!/bin/sh
while [ $# -gt 0 ]; do [ "$1" = --output ] && out=$2; shift; done
{act}
"""


@pytest.mark.parametrize(("act", "code", "says"), [
    ("echo no route >&2; exit 1", 3, "NOT AUDITED"),
    ("""echo '{"dependencies": [{"name": "a", "skip_reason": "no answer"}]}' > $out""", 3, "NOT AUDITED"),
    ("""echo '{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}' > $out""", 0, "1 packages checked"),
    ("""echo '{"dependencies": [{"name": "a", "version": "1",
     "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}]}' > $out; exit 1""", 1, "a 1 CVE-1 fixed in 2"),
], ids=["unreachable", "every package skipped", "clean", "vulnerable"])  # fmt: skip
def test_an_audit_that_could_not_ask_says_so_and_does_not_pass(tmp_path: Path, act: str, code: int, says: str) -> None:
    (tmp_path / "pip-audit").write_text(AUDITOR.format(act=act))
    (tmp_path / "pip-audit").chmod(0o755)
    (tmp_path / "python").symlink_to(sys.executable)
    done = subprocess.run(
        [ROOT / "infra" / "audit.sh", tmp_path], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == code
    assert says in done.stdout + done.stderr
