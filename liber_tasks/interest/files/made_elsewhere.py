"""Files made elsewhere: JSON Lines without a header, a text a line, written by whatever program.

A line about an item has `item_id`, `text`, `model`; a line about a partition `user_id`, `partition_no`, `kind` (summary
or shift), `text`, `model`. An item has one kind of text, so `kind` may say item there. Other fields are passed over.
What can be told of a line alone is told here; whether there is such an item or partition, the database knows.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from liber_tasks.errors import InputError
from liber_tasks.interest.files import fields
from liber_tasks.interest.files.fields import MAX_LINE_BYTES, MAX_TEXT_BYTES, Malformed
from liber_tasks.interest.files.knowledge_format import KINDS
from liber_tasks.interest.files.source import Source

Subject = Literal["items", "partitions"]


class Refused(Malformed):
    """A line that is not taken."""

    def __init__(self, reason: str, detail: str) -> None:
        """Reason in the words that are counted, and what is the matter."""
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Elsewhere(NamedTuple):
    """A text as its line has it."""

    item_id: str | None
    user_id: str | None
    partition_no: int | None
    kind: str | None  # None: of an item
    text: str
    model: str

    @property
    def content_sha256(self) -> str:
        """Digest of what it is about and what it says."""
        return hashlib.sha256(fields.write_json(self[:-1])).hexdigest()


class Reader:
    """Lines of a file with their numbers, each as a text or as what is wrong with it.

    Attributes:
        path: the file.
        subject: what it is about.
        model: that the texts are of; None until the first good line.
        has_shift: a text was one.
    """

    def __init__(self, source: Source, subject: Subject, model: str | None) -> None:
        """A file of which the first line is read; `model` is of the lines that name none."""
        self.path = source.path
        self.subject: Subject = subject
        self.model = model
        self.has_shift = False
        self._source = source
        self._default = model
        self._named = "--model" if model else ""  # where the model was named first

    def __iter__(self) -> Iterator[tuple[int, Elsewhere | Refused]]:
        with self._source.naming():
            yield from self._judged(self._source.first, 1)
            for line in self._source.rest():
                yield from self._judged(line, self._source.line)

    def _judged(self, line: bytes, number: int) -> Iterator[tuple[int, Elsewhere | Refused]]:
        if len(line) >= MAX_LINE_BYTES:
            if not line.endswith(b"\n"):
                self._source.skip_line()
            yield number, Refused("oversized", f"the line is longer than {MAX_LINE_BYTES} bytes")
            return
        if not line.strip():
            return
        try:
            text = read_line(line, self.subject, self._default)
        except Refused as refused:
            yield number, refused
            return
        self._same_model(text.model, number)
        self.has_shift |= text.kind == "shift"
        yield number, text

    def _same_model(self, model: str, number: int) -> None:
        if self.model is None:
            self.model, self._named = model, f"line {number}"
        elif model != self.model:
            raise InputError(
                f"{self.path}, line {number}: model is {model!r}, and {self._named} says {self.model!r}. Nothing "
                "was imported: texts of one version are of one model, so make a file for each."
            )


def subject_of(line: bytes) -> Subject | None:
    """What a file is about of which this is the first line; None: it was not made elsewhere."""
    try:
        entry = fields.read_object(line)
    except Malformed:
        return None
    if "format" in entry:
        return None
    return "items" if "item_id" in entry else "partitions" if "user_id" in entry else None


def read_line(line: bytes, subject: Subject, model: str | None) -> Elsewhere:
    """Read the line of a text.

    Args:
        line: as it is in the file.
        subject: what the file is about.
        model: of a line that names none.

    Raises:
        Refused: says why the line is not taken.
    """
    try:
        entry = {"kind": None, "model": model} | fields.read_object(line)
        entry["model"] = model if entry["model"] is None else entry["model"]
        rules = _RULES[subject]
        for name in rules:
            if name not in entry:
                raise Malformed(f"{name} is missing")
            fields.check_field(entry, name, rules)
        _check_kind(entry, subject)
        _check_text(entry["text"])
        if entry["model"] is None:
            raise Malformed("model is missing: name it in the line, or for all such lines with --model")
        fields.check_field(entry, "model", {"model": fields.NAME})
    except Refused:
        raise
    except Malformed as error:
        raise Refused("malformed", str(error)) from None
    if subject == "items":
        return Elsewhere(entry["item_id"], None, None, None, entry["text"], entry["model"])
    return Elsewhere(None, entry["user_id"], entry["partition_no"], entry["kind"], entry["text"], entry["model"])


def _check_kind(entry: dict[str, Any], subject: Subject) -> None:
    kind, kinds = entry["kind"], (None, "item") if subject == "items" else KINDS
    if kind not in kinds:
        found = "missing" if kind is None else fields.shown(kind)
        raise Refused("wrong kind", f"kind is {found}, not {' or '.join(filter(None, kinds))}")
    if kind == "shift" and entry["partition_no"] == 1:
        raise Refused("wrong kind", "partition 1 has no shift: there is none before it")


def _check_text(text: str) -> None:
    if not text.strip():
        raise Refused("empty", "text is blank")
    if len(text.encode("utf-8", "replace")) > MAX_TEXT_BYTES:
        raise Refused("oversized", f"text is longer than {MAX_TEXT_BYTES} bytes")
    if not fields.TEXT[1](text):
        raise Malformed("text holds NUL or half of a surrogate pair")


_STRING = ("text", lambda value: isinstance(value, str))
_RULES: dict[Subject, fields.Rules] = {
    "items": {"item_id": ("an id in quotes", fields.is_name), "text": _STRING},
    "partitions": {
        "user_id": ("an id in quotes", fields.is_name),
        "partition_no": fields.PARTITION_NO,
        "text": _STRING,
    },
}
