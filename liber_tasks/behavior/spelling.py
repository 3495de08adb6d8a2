"""An id inside free text: how it may be written there, and which ids a text may hold. No input or output."""

import json
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

_PLAIN = re.compile(r"[A-Za-z0-9 _.:@+=,;|-]+")  # no format escapes these
_SHORT = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"?', re.DOTALL)
_CELLS = re.compile(r"[,;\t\n]")
_RUNS = (re.compile(r"[^\W_]+"), re.compile(r"[\w.@:+-]+"))
MAX_ID_BYTES = 512


def pattern(user_id: str) -> str:
    """PostgreSQL regular expression that finds an id in a text as a whole token, plain or escaped.

    Whole: not next to a letter or digit, where the id itself ends with one; so "4" is not found in "40" but in "-4-".
    Escaped: as JSON and CSV write quotes, backslashes, control and other than ASCII characters, nested or not.
    """
    before = r"(?:(?<![^\W_])|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4}))" if user_id[0].isalnum() else ""
    after = r"(?![^\W_])" if user_id[-1].isalnum() else ""
    return before + "".join(_written(character) for character in user_id) + after


def pieces(user_id: str) -> list[str]:
    """Texts of which every spelling of an id holds at least one: quick to look for, before the pattern is tried."""
    plain = max(_PLAIN.findall(user_id), key=len, default="")
    first = user_id[0]
    if plain:
        return [plain]
    if first in _SHORT or ord(first) > 0xFFFF:
        return [""]  # too many ways: look at every text
    digits = ((d, d.upper()) if d.isalpha() else (d,) for d in f"{ord(first):04x}")
    return [first, *("u" + "".join(code) for code in product(*digits))]


def beginnings(user_id: str) -> list[str]:
    """Beginnings of the id's spellings, longest first: what stays of it where a text was cut off within it."""
    spellings = {user_id, user_id.replace('"', '""')}
    spellings |= {json.dumps(user_id, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    return sorted({spelling[:n] for spelling in spellings for n in range(1, len(spelling))}, key=len, reverse=True)


def possible_ids(raw: str) -> set[str]:
    """Ids of users that a rejected row may be of: what it calls `user_id`, else every piece that could be an id.

    An id with blanks or punctuation in a row that is no JSON is found as a quoted text or a cell only.
    """
    named: list[Any] = []

    def keep(pairs: list[tuple[str, Any]]) -> None:
        named.extend(value for name, value in pairs if name == "user_id")

    try:
        json.loads(raw, object_pairs_hook=keep, parse_int=str)
    except (ValueError, RecursionError):
        named.clear()
    found = {value for value in named if isinstance(value, str)} or set(_candidates(raw))
    return {piece for piece in found if piece and len(piece.encode(errors="replace")) <= MAX_ID_BYTES}


def _written(character: str) -> str:
    """The spellings of one character."""
    if _PLAIN.fullmatch(character):
        return re.escape(character)
    units = character.encode("utf-16-be").hex()
    code = "".join(
        r"\\+u"
        + "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in units[start : start + 4])
        for start in range(0, len(units), 4)
    )
    spellings = [re.escape(character) if character.isascii() else character, code]
    if character in _SHORT:
        spellings.append(rf"\\+{_SHORT[character]}")
    elif character == "\\":
        spellings[0] = r"\\+"
    elif character == '"':
        spellings.append('""')
    if character in '"/':
        spellings.append(rf"\\+{character}")
    return f"(?:{'|'.join(spellings)})"


def _candidates(raw: str) -> Iterator[str]:
    for match in _QUOTED.finditer(raw):
        yield match[1]
        try:
            yield json.loads(f'"{match[1]}"')
        except ValueError:
            continue
    for cell in _CELLS.split(raw):
        stripped = cell.strip()
        yield stripped
        yield stripped.strip('"').replace('""', '"')
    for runs in _RUNS:
        yield from runs.findall(raw)
