"""The reference pages are those of the code."""

import subprocess
import sys
from pathlib import Path

import pytest

from liber_tasks.config import ROOT, Settings

PAGES = ("commands", "settings", "python")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    subprocess.run([sys.executable, str(ROOT / "infra" / "reference.py"), str(folder)], check=True, timeout=500)
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_a_reference_page_is_what_the_code_says_now(written: Path, page: str) -> None:
    kept = ROOT / "docs" / "reference" / f"{page}.md"
    assert kept.read_text() == (written / kept.name).read_text(), "run `make docs`"


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
