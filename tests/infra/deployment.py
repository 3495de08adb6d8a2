"""infra/compose.yaml as a program sees it: merged, interpolated, each service whole."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from liber_tasks.config import ROOT

INFRA = ROOT / "infra"
TEXT = (INFRA / "compose.yaml").read_text(encoding="utf-8")
WHOLE = yaml.safe_load(TEXT)
VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?:(?P<op>:?[-?+])(?P<rest>[^}]*))?\})")


def interpolated(value: Any, given: Mapping[str, str]) -> Any:
    """The value with `${...}` as Compose's documentation says; `$$` is a dollar.

    Raises:
        KeyError: a required variable is missing or empty.
    """
    if isinstance(value, dict):
        return {key: interpolated(each, given) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolated(each, given) for each in value]
    return VARIABLE.sub(lambda found: _value(found, given), value) if isinstance(value, str) else value


def _value(found: "re.Match[str]", given: Mapping[str, str]) -> str:
    name, op, rest = found["name"], found["op"] or "", found["rest"] or ""
    if name is None:
        return "$"
    have = given.get(name)
    present = bool(have) if op.startswith(":") else have is not None
    match op[-1:]:
        case "?" if not present:
            raise KeyError(name)
        case "-" if not present:
            return rest
        case "+":
            return rest if present else ""
    return have or ""


def services(given: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Every service, profiles or not."""
    found: dict[str, dict[str, Any]] = interpolated(WHOLE, given)["services"]
    return found


def example() -> dict[str, str]:
    """Variables of `.env.example`; empty where the user has to fill in."""
    lines = (INFRA / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def filled() -> dict[str, str]:
    """As a user would have filled it in: each secret is another, and none is a word of the file."""
    return example() | {name: f"filled-in-{number}" for number, name in enumerate(secrets())} | {
        "LIBER_LLM_MODEL": "a-model"
    }  # fmt: skip


def secrets() -> list[str]:
    """Variables that the file insists on."""
    return sorted({found["name"] for found in VARIABLE.finditer(TEXT) if (found["op"] or "").endswith("?")})
