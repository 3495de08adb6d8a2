"""What a stack of its own has written down: rows of its databases, files of its folder."""

import os
import subprocess
from pathlib import Path

from liber_tasks.local import postgres
from liber_tasks.local.environment import Stack


def dump(stack: Stack, database: str) -> str:
    """Every row of a database, as SQL."""
    done = subprocess.run(
        [postgres.BIN / "pg_dump", "--inserts", "-h", "127.0.0.1", "-p", str(stack.ports["postgres"]),
         "-U", "postgres", database],
        env={**os.environ, "PGPASSWORD": stack.secrets["postgres"]}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "INSERT INTO" in done.stdout
    return done.stdout


def holding(folder: Path, *words: str) -> set[Path]:
    """Files below a folder that hold one of some words."""
    asked = ["grep", "-rlaF", *(part for word in words for part in ("-e", word)), str(folder)]
    listed = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert listed.returncode < 2, listed.stderr
    return {Path(line) for line in listed.stdout.splitlines()}
