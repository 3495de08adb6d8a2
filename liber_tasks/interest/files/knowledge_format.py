"""Knowledge file: learnt texts as JSON Lines, to be imported where the same behaviours are, under whatever keys.

UTF-8; gzip where the name ends in .gz. The first line is the header: what the texts were made with, how many there are,
`sha256` of the lines behind it, and `header_sha256` of the header line up to that field. Then a line a text, in the
order of (user_id, partition_no, kind), user ids by their UTF-8 bytes. `partition_sha256` names the content of the
partition: the digest of its event ids in order, each as `characters:id`. A text is never attached to another content.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from liber_tasks.interest.files import fields
from liber_tasks.interest.files.fields import Malformed

FORMAT = "liber-knowledge"
KINDS = ("summary", "shift")


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
        return fields.write_header(FORMAT, vars(self))


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

    @property
    def name(self) -> str:
        """What a message calls it."""
        return f"{self.kind} of partition {self.partition_no} of user {self.user_id!r}"

    def line(self) -> bytes:
        """The text as it is written.

        Raises:
            Malformed: a field is not what it must be, so that no import would take it.
        """
        entry = self._asdict()
        fields.check(entry, _TEXT)
        return fields.write_json(entry) + b"\n"


def read_header(line: bytes) -> Header:
    """Read the first line.

    Raises:
        Malformed: it is no header, of another format or version, damaged, or a field is not what it must be.
    """
    return Header(**fields.read_header(line, FORMAT, _HEADER))


def read_text(line: bytes) -> Text:
    """Read the line of a text.

    Raises:
        Malformed: says which field is not what it must be.
    """
    text = Text(**fields.read_line(line, _TEXT))
    if text.kind == "shift" and text.partition_no == 1:
        raise Malformed("partition 1 has no shift: there is none before it")
    return text


_HEADER: fields.Rules = {
    **dict.fromkeys(("knowledge_version", "model", "summary_prompt", "shift_prompt"), fields.NAME),
    **fields.MADE_WITH,
}
_TEXT: fields.Rules = {
    "user_id": fields.ID,
    "partition_no": fields.PARTITION_NO,
    "kind": (f"one of {', '.join(KINDS)}", lambda value: value in KINDS),
    "partition_sha256": fields.DIGEST,
    "text": fields.TEXT,
    "input_sha256": fields.DIGEST,
    "left_out": fields.COUNT,
    "prompt_tokens": fields.COUNT_OR_NULL,
    "completion_tokens": fields.COUNT_OR_NULL,
    "latency_seconds": fields.SECONDS,
    "finish_reason": fields.NAME_OR_NULL,
}
