"""Knowledge file: learnt texts as JSON Lines, to be imported where the same behaviours are, under whatever keys.

UTF-8; gzip where the name ends in .gz. The first line is the header: what the texts were made with, how many there are,
`sha256` of the lines behind it, and `header_sha256` of the header line up to that field. Then a line a text, in the
order of (user_id, partition_no, kind), user ids by their UTF-8 bytes. `partition_sha256` names the content of the
partition: the digest of its event ids in order, each as `characters:id`. A text is never attached to another content.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

FORMAT = "liber-knowledge"
FORMAT_VERSION = 1
KINDS = ("summary", "shift")
MAX_TEXT_BYTES = 65_536  # of UTF-8
MAX_LINE_BYTES = 8 * MAX_TEXT_BYTES  # JSON may spell a byte with six
MAX_HEADER_BYTES = 2**24  # a recipe holds whole templates
MAX_INTEGER = 2**31 - 1
MIN_REAL, MAX_REAL = 1.2e-38, 3.4e38  # what PostgreSQL keeps as real
_HEADER_DIGEST = b',"header_sha256":"'


class Malformed(ValueError):
    """A line is not what this format says; the message has no line number yet."""


@dataclass(frozen=True)
class Header:
    """First line of a file.

    Attributes:
        knowledge_version: name of what the texts were made with.
        model: name sent to the LLM server.
        summary_prompt: name and digest of the template.
        shift_prompt: likewise.
        parameters: everything else that shapes a text.
        recipe: what the prompts were made of, whole; None: not known.
        registered: kind to URI in an MLflow prompt registry.
        texts: lines behind the header.
        sha256: of the bytes behind the header line, hexadecimal.
    """

    knowledge_version: str
    model: str
    summary_prompt: str
    shift_prompt: str
    parameters: dict[str, Any]
    recipe: dict[str, Any] | None
    registered: dict[str, str]
    texts: int
    sha256: str

    def line(self) -> bytes:
        """The header as it is written, with its own digest."""
        head = _json({"format": FORMAT, "format_version": FORMAT_VERSION, **vars(self)})[:-1]
        return head + _HEADER_DIGEST + hashlib.sha256(head).hexdigest().encode() + b'"}\n'


class Text(NamedTuple):
    """One text; the fields of its line, in the order they are written."""

    user_id: str
    partition_no: int
    kind: str
    partition_sha256: str  # hexadecimal
    text: str
    input_sha256: str  # of the prompt
    left_out: int  # oldest behaviours that the prompt does not show
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_seconds: float
    finish_reason: str | None

    @property
    def place(self) -> tuple[str, int, str]:
        """What orders the lines: no two texts of a file have the same."""
        return self.user_id, self.partition_no, self.kind

    def line(self) -> bytes:
        """The text as it is written.

        Raises:
            Malformed: a field is not what it must be, so that no import would take it.
        """
        entry = self._asdict()
        _check(entry, _TEXT)
        return _json(entry) + b"\n"


def read_header(line: bytes) -> Header:
    """Read the first line.

    Raises:
        Malformed: it is no header, of another format or version, damaged, or a field is not what it must be.
    """
    try:
        entry = json.loads(line, object_pairs_hook=_once)
        found = entry.get("format"), entry.get("format_version")
    except (ValueError, AttributeError, RecursionError):
        raise Malformed("this is no header of a knowledge file, or it is damaged") from None
    if found[0] != FORMAT:
        raise Malformed(f"format is {found[0]!r}, not {FORMAT!r}")
    head, mark, digest = line.rpartition(_HEADER_DIGEST)
    if not mark or digest != hashlib.sha256(head).hexdigest().encode() + b'"}\n':
        raise Malformed("the header does not have the digest it states: it is damaged, or was edited")
    if found[1] != FORMAT_VERSION:
        raise Malformed(f"format_version is {found[1]!r}, and this program reads {FORMAT_VERSION}")
    del entry["format"], entry["format_version"], entry["header_sha256"]
    _check(entry, _HEADER)
    return Header(**entry)


def read_text(line: bytes) -> Text:
    """Read the line of a text.

    Raises:
        Malformed: says which field is not what it must be.
    """
    if not line.endswith(b"\n"):
        raise Malformed("it is cut off" if len(line) < MAX_LINE_BYTES else f"it is longer than {MAX_LINE_BYTES} bytes")
    try:
        entry = json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise Malformed("it is not JSON in UTF-8, or names a field twice") from None
    if not isinstance(entry, dict):
        raise Malformed("it is not a JSON object")
    _check(entry, _TEXT)
    text = Text(**entry)
    if text.kind == "shift" and text.partition_no == 1:
        raise Malformed("partition 1 has no shift: there is none before it")
    return text


def _json(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) != len(pairs):
        raise ValueError("a field is named twice")
    return entry


def _check(entry: dict[str, Any], rules: dict[str, tuple[str, Callable[[Any], bool]]]) -> None:
    if entry.keys() != rules.keys():
        wrong = [f"{name} is missing" for name in rules if name not in entry]
        wrong += [f"{name!r} is no field of this format" for name in entry if name not in rules]
        raise Malformed(wrong[0])
    for name, (wanted, holds) in rules.items():
        if not holds(entry[name]):
            shown = repr(entry[name])
            raise Malformed(f"{name} is {shown if len(shown) <= 60 else shown[:57] + '...'}, not {wanted}")


def _is_text(most: int) -> Callable[[Any], bool]:
    """Holds for what PostgreSQL can keep as text, neither blank nor longer than `most` bytes."""

    def holds(value: Any) -> bool:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            return False
        try:
            return len(value.encode()) <= most
        except UnicodeEncodeError:  # half of a surrogate pair
            return False

    return holds


def _is_integer(least: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= MAX_INTEGER


def _or_none(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or holds(value)


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef")


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and (value == 0 or MIN_REAL <= value <= MAX_REAL)


def _is_object(value: Any) -> bool:
    """Holds for an object that PostgreSQL can keep as jsonb."""
    try:
        return isinstance(value, dict) and rb"\u0000" not in json.dumps(value).encode() and bool(_json(value))
    except (ValueError, RecursionError):  # not a number, or half of a surrogate pair
        return False


_name, _digest = _is_text(1_000), ("a SHA-256 in lower-case hexadecimal", _is_digest)
_count = "a whole number from 0 to 2^31 - 1"
_HEADER: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("knowledge_version", "model", "summary_prompt", "shift_prompt"), ("a name", _name)),
    "parameters": ("an object", _is_object),
    "recipe": ("an object or null", _or_none(_is_object)),
    "registered": (
        "an object of texts",
        lambda value: _is_object(value) and all(isinstance(uri, str) for uri in value.values()),
    ),
    "texts": (_count, _is_integer(0)),
    "sha256": _digest,
}
_TEXT: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "user_id": ("an id", _name),
    "partition_no": ("a whole number from 1 to 2^31 - 1", _is_integer(1)),
    "kind": (f"one of {', '.join(KINDS)}", lambda value: value in KINDS),
    "partition_sha256": _digest,
    "text": (f"1 to {MAX_TEXT_BYTES} bytes of text without NUL", _is_text(MAX_TEXT_BYTES)),
    "input_sha256": _digest,
    "left_out": (_count, _is_integer(0)),
    "prompt_tokens": (f"{_count}, or null", _or_none(_is_integer(0))),
    "completion_tokens": (f"{_count}, or null", _or_none(_is_integer(0))),
    "latency_seconds": ("a number of seconds", _is_seconds),
    "finish_reason": ("a name or null", _or_none(_name)),
}
