"""Item knowledge file: texts about items as JSON Lines, to be imported where the same items are, under whatever keys.

As a knowledge file (`knowledge_format`): a header with its own digest and that of the lines behind it, then a line a
text, in the order of item_id by its UTF-8 bytes. What a text made elsewhere does not have is null.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from liber_tasks.interest.files import fields

FORMAT = "liber-item-knowledge"


@dataclass(frozen=True)
class ItemHeader:
    """First line of a file.

    Attributes:
        knowledge_version: name of what the texts were made with.
        model: name sent to the LLM server.
        item_prompt: name and digest of the template.
        parameters: everything else that shapes a text.
        recipe: what the prompts were made of, whole; None: not known.
        registered: kind to URI in an MLflow prompt registry.
        texts: lines behind the header.
        sha256: of the bytes behind the header line, hexadecimal.
    """

    knowledge_version: str
    model: str
    item_prompt: str
    parameters: dict[str, Any]
    recipe: dict[str, Any] | None
    registered: dict[str, str]
    texts: int
    sha256: str

    def line(self) -> bytes:
        """The header as it is written, with its own digest."""
        return fields.write_header(FORMAT, vars(self))


class ItemText(NamedTuple):
    """One text; the fields of its line, in the order they are written."""

    item_id: str
    text: str
    attributes_sha256: str | None  # of what the item was when the text was asked for; hexadecimal
    input_sha256: str | None  # of the prompt
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_seconds: float | None
    finish_reason: str | None

    @property
    def place(self) -> str:
        """What orders the lines: no two texts of a file have the same."""
        return self.item_id

    @property
    def name(self) -> str:
        """What a message calls it."""
        return f"text of item {self.item_id!r}"

    def line(self) -> bytes:
        """The text as it is written.

        Raises:
            Malformed: a field is not what it must be, so that no import would take it.
        """
        entry = self._asdict()
        fields.check(entry, _TEXT)
        return fields.write_json(entry) + b"\n"


def read_header(line: bytes) -> ItemHeader:
    """Read the first line.

    Raises:
        Malformed: it is no header, of another format or version, damaged, or a field is not what it must be.
    """
    return ItemHeader(**fields.read_header(line, FORMAT, _HEADER))


def read_text(line: bytes) -> ItemText:
    """Read the line of a text.

    Raises:
        Malformed: says which field is not what it must be.
    """
    return ItemText(**fields.read_line(line, _TEXT))


_HEADER: fields.Rules = {
    **dict.fromkeys(("knowledge_version", "model", "item_prompt"), fields.NAME),
    **fields.MADE_WITH,
}
_TEXT: fields.Rules = {
    "item_id": fields.ID,
    "text": fields.TEXT,
    "attributes_sha256": fields.DIGEST_OR_NULL,
    "input_sha256": fields.DIGEST_OR_NULL,
    "prompt_tokens": fields.COUNT_OR_NULL,
    "completion_tokens": fields.COUNT_OR_NULL,
    "latency_seconds": fields.SECONDS_OR_NULL,
    "finish_reason": fields.NAME_OR_NULL,
}
