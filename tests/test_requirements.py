"""requirements.in and requirements.txt agree, and together they are all that is installed."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def _lines(file: str) -> list[str]:
    stripped = (re.sub(r"(^|\s)#.*", "", line).strip() for line in (ROOT / file).read_text().splitlines())
    return [line for line in stripped if line]


DIRECT = [Requirement(line) for line in _lines("requirements.in")]
PINS = {canonicalize_name(r.name): r for r in map(Requirement, _lines("requirements.txt"))}
EXCLUDED = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["exclude-dependencies"])

OLDEST = {"python_full_version": "3.11.0"}  # the lock serves every 3.11, and some need a package less


def test_every_line_is_pinned_to_one_version() -> None:
    assert [str(pin) for pin in PINS.values() if not re.fullmatch(r"==[^*,]+", str(pin.specifier))] == []


def test_every_direct_requirement_is_satisfied_by_its_pin() -> None:
    for requirement in DIRECT:
        (pin,) = PINS[canonicalize_name(requirement.name)].specifier
        assert requirement.specifier.contains(pin.version, prereleases=True), requirement


def test_pins_are_exactly_what_the_direct_requirements_need() -> None:
    """Walks the installed packages' own metadata, so a forgotten `make lock` shows on both sides."""
    needed: set[str] = set()
    todo = [(canonicalize_name(r.name), frozenset(r.extras)) for r in DIRECT]
    seen = set(todo)
    while todo:
        name, extras = todo.pop()
        needed.add(name)
        for line in distribution(name).requires or []:
            requirement = Requirement(line)
            wanted = any(
                requirement.marker is None or requirement.marker.evaluate({**OLDEST, "extra": extra})
                for extra in (*extras, "")
            )
            dependency = (canonicalize_name(requirement.name), frozenset(requirement.extras))
            if wanted and dependency[0] not in EXCLUDED and dependency not in seen:
                seen.add(dependency)
                todo.append(dependency)
    assert needed == set(PINS)


def test_the_pinned_versions_are_installed() -> None:
    def installed(name: str) -> str | None:
        try:
            return distribution(name).version.split("+")[0]  # torch's CPU build is 2.13.0+cpu
        except PackageNotFoundError:
            return None

    pinned = {name: next(iter(pin.specifier)).version.split("+")[0] for name, pin in PINS.items()}
    assert {name: installed(name) for name in pinned} == pinned
