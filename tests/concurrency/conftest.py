"""A scene for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from liber_tasks.config import Settings
from tests.concurrency.scene import Scene


@pytest.fixture
def scene(database_url: str, settings: Settings, tmp_path: Path) -> Iterator[Scene]:
    """Calls to interleave in a fresh database."""
    found = Scene(database_url, settings, tmp_path)
    yield found
    found.close()
