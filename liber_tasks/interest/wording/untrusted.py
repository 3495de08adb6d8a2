"""Text from outside (titles, attributes, a model's own words) inside a prompt: it stays in its place."""

import json
import unicodedata

# Models mark turns with <|...|>, <s> or [INST]; servers would read such a title as a mark.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u2800\u3164\uffa0") | frozenset(
    map(chr, range(0xFE00, 0xFE10))
)  # letters and marks
_MARKS = str.maketrans("<>[]|", "()()/")


def clean(text: str, limit: int) -> str:
    """The text on one line: no control or invisible characters, no chat marks, at most `limit` characters."""
    if not (text.isascii() and text.isprintable()):  # nearly every title is, and the look at each character is slow
        text = "".join(" " if c in _INVISIBLE or unicodedata.category(c)[0] in "CZ" else c for c in text)
    line = " ".join(text.translate(_MARKS).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def quote(text: str, limit: int) -> str:
    """The text as one quoted string: its own quotes and backslashes are escaped, so it cannot end early."""
    return json.dumps(clean(text, limit), ensure_ascii=False)
