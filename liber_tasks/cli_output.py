"""What the command line reads and prints: moments, progress, results as text or JSON, nothing that a terminal obeys."""

import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from liber_tasks import logs
from liber_tasks.errors import InputError
from liber_tasks.types import Progress

# Control characters but line feed and tab, also those above ASCII; marks that turn the direction of writing; colours.
_COMMANDS = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def moment(option: str, value: str) -> datetime:
    """Read a time. Raises InputError naming the option if it is none, or has no zone."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise InputError(f"{option} is {value!r}: write ISO 8601 with a zone, as 2026-01-31T12:00:00Z.") from None
    if found.tzinfo is None:
        raise InputError(f"{option} is {value!r}: add a zone, as {value}Z.")
    return found


def line_progress() -> Progress:
    """A line on stderr that is rewritten; on a pipe, a line a tenth."""
    last: dict[str, Any] = {"tenth": None}
    logger = logging.getLogger("liber.progress")

    def show(done: int, total: int | None, label: str) -> None:
        text = f"{label}: {done:,}{f' of {total:,}' if total else ''}"
        if sys.stderr.isatty() and not logs.is_json():
            print(f"\r\033[K{text}", end="\n" if done == total else "", file=sys.stderr, flush=True)
        elif last["tenth"] != (tenth := (label, done * 10 // total if total else done // 10_000)):
            last["tenth"] = tenth
            if logs.is_json():
                logger.info("%s", text)
            else:
                print(text, file=sys.stderr, flush=True)

    return show


def plain(result: Any) -> Any:
    """JSON-ready form of a result: its own `to_dict`, a dataclass, or what it is."""
    from dataclasses import asdict, is_dataclass

    if hasattr(result, "to_dict"):
        return result.to_dict()
    return asdict(result) if is_dataclass(result) and not isinstance(result, type) else result


def show(result: Any, as_json: bool, text: str | None = None) -> None:
    """Print a result on stdout: one JSON object, or `text`, or its fields line by line."""
    entries = plain(result)
    if as_json:
        text = json.dumps(entries, default=_json_default, ensure_ascii=False)
        print(_COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
    elif text is not None:
        print(text)
    else:
        _show_tree(entries, "")


def _show_tree(value: dict[str, Any], indent: str) -> None:
    for key, entry in value.items():
        if isinstance(entry, dict):
            print(f"{indent}{key}")
            _show_tree(entry, indent + "  ")
        elif isinstance(entry, list | tuple) and entry and isinstance(entry[0], dict):
            for number, part in enumerate(entry, 1):
                print(f"{indent}{key} {number}")
                _show_tree(part, indent + "  ")
        else:
            print(f"{indent}{key:<22} {entry:,}" if type(entry) is int else f"{indent}{key:<22} {entry}")


def _json_default(value: object) -> Any:
    converters: dict[type, Callable[[Any], Any]] = {
        datetime: datetime.isoformat, date: date.isoformat, Decimal: float, Path: str
    }  # fmt: skip
    for kind, convert in converters.items():
        if isinstance(value, kind):
            return convert(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def harmless(text: str, *, styled: bool = False) -> str:
    """Foreign text without what a terminal obeys: titles, ids and texts come from anywhere.

    Args:
        text: to be printed.
        styled: colours pass.
    """
    return _COMMANDS.sub(lambda found: found[0] if styled and len(found[0]) > 1 else "\N{REPLACEMENT CHARACTER}", text)


class HarmlessStream:
    """A text stream that writes `harmless` text; on a terminal with colours, which our tables have."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what is left of a text."""
        self._stream.write(harmless(text, styled=self._stream.isatty()))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
