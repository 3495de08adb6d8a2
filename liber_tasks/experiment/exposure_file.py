"""Exposures from a file: JSON Lines, or CSV with a header. Columns user_id, exposed_at and, if known, arm."""

import csv
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from liber_tasks.errors import InputError
from liber_tasks.experiment.exposure import Exposure, exposure

FIELDS = ("user_id", "exposed_at", "arm")


def read_exposures(path: str | Path) -> Iterator[Exposure]:
    """Exposures of a .jsonl or .csv file, one by one.

    Raises:
        InputError: the file cannot be read, or a line is wrong; names the line.
    """
    path = Path(path)
    readers = {".jsonl": _json_lines, ".csv": _csv_lines}
    if path.suffix not in readers:
        raise InputError(f"{path}: exposures are read from .jsonl or .csv files; give one.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, entry in readers[path.suffix](path, file):
                yield _exposure(entry, f"{path}, line {number}")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8: save it as UTF-8.") from None


def _json_lines(path: Path, file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            raise InputError(f"{path}, line {number}: this is not a JSON object; write one a line.")
        yield number, entry


def _csv_lines(path: Path, file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(file, strict=True)
    missing = [name for name in FIELDS[:2] if name not in (reader.fieldnames or ())]
    if missing:
        raise InputError(
            f"{path}, line 1: the column {missing[0]} is missing; the header names user_id, exposed_at, arm."
        )
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num}: this is not CSV ({error}); correct it.") from None
        if None in row:
            raise InputError(f"{path}, line {reader.line_num}: there are more values than columns; correct it.")
        yield reader.line_num, {name: value or None for name, value in row.items()}


def _exposure(entry: dict[str, Any], where: str) -> Exposure:
    moment = entry.get("exposed_at")
    if isinstance(moment, str):
        with suppress(ValueError):  # `exposure` says what it should be
            moment = datetime.fromisoformat(moment)
    for name in entry:
        if name not in FIELDS:
            raise InputError(f"{where}: {name!r} is no field of an exposure; there are {', '.join(FIELDS)}.")
    return exposure(entry.get("user_id"), moment, entry.get("arm"), where=where)
