"""What fields of a line may hold, so that PostgreSQL keeps them as they are; headers that state their own digest."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

MAX_TEXT_BYTES = 65_536  # of UTF-8
MAX_LINE_BYTES = 8 * MAX_TEXT_BYTES  # JSON may spell a byte with six
MAX_HEADER_BYTES = 2**24  # a recipe holds whole templates
MAX_INTEGER = 2**31 - 1
MIN_REAL, MAX_REAL = 1.2e-38, 3.4e38  # what PostgreSQL keeps as real
FORMAT_VERSION = 1
_HEADER_DIGEST = b',"header_sha256":"'

Rules = dict[str, tuple[str, Callable[[Any], bool]]]  # field to what it must be, in words and as a test


class Malformed(ValueError):
    """A line is not what its format says; the message has no line number yet."""


def check(entry: dict[str, Any], rules: Rules) -> None:
    """See that an entry has these fields and no others.

    Raises:
        Malformed: says which field is not what it must be.
    """
    if entry.keys() != rules.keys():
        wrong = [f"{name} is missing" for name in rules if name not in entry]
        wrong += [f"{name!r} is no field of this format" for name in entry if name not in rules]
        raise Malformed(wrong[0])
    for name in rules:
        check_field(entry, name, rules)


def check_field(entry: dict[str, Any], name: str, rules: Rules) -> None:
    """See that one field is what it must be; raises as `check`."""
    wanted, holds = rules[name]
    if not holds(entry[name]):
        raise Malformed(f"{name} is {shown(entry[name])}, not {wanted}")


def shown(value: Any) -> str:
    """A value as a message has it: printable, and short."""
    whole = repr(value)
    return whole if len(whole) <= 60 else whole[:57] + "..."


def write_header(form: str, entry: dict[str, Any]) -> bytes:
    """A header as it is written, with its own digest."""
    head = write_json({"format": form, "format_version": FORMAT_VERSION, **entry})[:-1]
    return head + _HEADER_DIGEST + hashlib.sha256(head).hexdigest().encode() + b'"}\n'


def format_of(line: bytes) -> Any:
    """Format that a first line states; None: it states none."""
    try:
        return read_object(line).get("format")
    except Malformed:
        return None


def read_header(line: bytes, form: str, rules: Rules) -> dict[str, Any]:
    """Fields of a header of this format.

    Raises:
        Malformed: it is no header, of another format or version, damaged, or a field is not what it must be.
    """
    found = format_of(line)
    if found is None:
        raise Malformed("this is no header of a knowledge file and no text of an item_id or user_id, or it is damaged")
    if found != form:
        raise Malformed(f"format is {shown(found)}, not {form!r}")
    head, mark, digest = line.rpartition(_HEADER_DIGEST)
    if not mark or digest != hashlib.sha256(head).hexdigest().encode() + b'"}\n':
        raise Malformed("the header does not have the digest it states: it is damaged, or was edited")
    entry = read_object(line)
    version = entry.get("format_version")
    if version != FORMAT_VERSION:
        raise Malformed(f"format_version is {shown(version)}, and this program reads {FORMAT_VERSION}")
    del entry["format"], entry["format_version"], entry["header_sha256"]
    check(entry, rules)
    return entry


def read_line(line: bytes, rules: Rules) -> dict[str, Any]:
    """Fields of a line behind a header.

    Raises:
        Malformed: says which field is not what it must be.
    """
    if not line.endswith(b"\n"):
        raise Malformed("it is cut off" if len(line) < MAX_LINE_BYTES else f"it is longer than {MAX_LINE_BYTES} bytes")
    entry = read_object(line)
    check(entry, rules)
    return entry


def read_object(line: bytes) -> dict[str, Any]:
    """One JSON object.

    Raises:
        Malformed: it is none, or names a field twice.
    """
    try:
        entry = json.loads(line.decode(), object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise Malformed("it is not JSON in UTF-8, or names a field twice") from None
    if not isinstance(entry, dict):
        raise Malformed("it is not a JSON object")
    return entry


def write_json(entry: Any) -> bytes:
    """The one way an entry is written."""
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of which each field is named once; ValueError otherwise."""
    entry = dict(pairs)
    if len(entry) != len(pairs):
        raise ValueError("a field is named twice")
    return entry


def is_text(most: int) -> Callable[[Any], bool]:
    """Holds for what PostgreSQL can keep as text, neither blank nor longer than `most` bytes."""

    def holds(value: Any) -> bool:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            return False
        try:
            return len(value.encode()) <= most
        except UnicodeEncodeError:  # half of a surrogate pair
            return False

    return holds


def is_integer(least: int) -> Callable[[Any], bool]:
    """Holds for what PostgreSQL can keep as integer, from `least` on."""
    return lambda value: type(value) is int and least <= value <= MAX_INTEGER


def or_none(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Holds for what `holds` holds for, and for null."""
    return lambda value: value is None or holds(value)


def is_digest(value: Any) -> bool:
    """Holds for 64 lower-case hexadecimal digits."""
    return isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef")


def is_seconds(value: Any) -> bool:
    """Holds for what PostgreSQL can keep as real, not below 0."""
    return type(value) in (int, float) and (value == 0 or MIN_REAL <= value <= MAX_REAL)


def is_object(value: Any) -> bool:
    """Holds for an object that PostgreSQL can keep as jsonb."""
    try:
        return isinstance(value, dict) and rb"\u0000" not in json.dumps(value).encode() and bool(write_json(value))
    except (ValueError, RecursionError):  # not a number, or half of a surrogate pair
        return False


is_name = is_text(1_000)
_COUNT = "a whole number from 0 to 2^31 - 1"
NAME, ID = ("a name", is_name), ("an id", is_name)
NAME_OR_NULL = ("a name or null", or_none(is_name))
TEXT = (f"1 to {MAX_TEXT_BYTES} bytes of text without NUL", is_text(MAX_TEXT_BYTES))
PARTITION_NO = ("a whole number from 1 to 2^31 - 1", is_integer(1))
COUNT = (_COUNT, is_integer(0))
COUNT_OR_NULL = (f"{_COUNT}, or null", or_none(is_integer(0)))
DIGEST = ("a SHA-256 in lower-case hexadecimal", is_digest)
DIGEST_OR_NULL = (f"{DIGEST[0]}, or null", or_none(is_digest))
SECONDS = ("a number of seconds", is_seconds)
SECONDS_OR_NULL = (f"{SECONDS[0]}, or null", or_none(is_seconds))
MADE_WITH: Rules = {  # of every header, behind its names
    "parameters": ("an object", is_object),
    "recipe": ("an object or null", or_none(is_object)),
    "registered": (
        "an object of texts",
        lambda value: is_object(value) and all(isinstance(uri, str) for uri in value.values()),
    ),
    "texts": COUNT,
    "sha256": DIGEST,
}
