"""What the pages name is there: files, headings, commands, settings, targets of make."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from liber_tasks.cli import app
from liber_tasks.config import ROOT, Settings

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
ELSEWHERE = {  # variables that are no settings of ours
    "LIBER_STREAM_URL",  # of `liber consume` alone
    "LIBER_VAR",  # where settings come from
    "LIBER_BIND", "LIBER_DATA",  # of infra/compose.yaml
    "LIBER_SERVING_CACHE_SECONDS", "LIBER_SERVING_CACHE_USERS", "LIBER_SERVING_CONNECTIONS",  # of a registered model
}  # fmt: skip


def _headings(page: Path) -> set[str]:
    """Anchors that a code host gives a page's headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _code(page: Path) -> str:
    """What stands in code spans and code blocks."""
    text = page.read_text()
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL))


@each_page
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in _headings(found), target


@each_page
def test_every_setting_it_names_exists(page: Path) -> None:
    known = {f"LIBER_{name.upper()}" for name in Settings.model_fields} | ELSEWHERE
    named = set(re.findall(r"LIBER_[A-Z0-9_]*[A-Z0-9]", page.read_text()))
    assert {name for name in named - known if not any(other.startswith(f"{name}_") for other in known)} == set()


@each_page
def test_every_command_it_names_exists(page: Path) -> None:
    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"(?:^|[`;&|(] ?)liber ([a-z][a-z-]+)", _code(page), flags=re.MULTILINE))
    assert named - known == set()


@each_page
def test_every_target_of_make_it_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", _code(page))) - targets == set()
