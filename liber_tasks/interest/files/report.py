"""What became of the lines of an imported file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NAMED = 20  # lines that are named one by one
REASONS = {
    "unknown item": "unknown_items",
    "unknown user": "unknown_users",
    "unknown partition": "unknown_partitions",
    "other content": "other_content",
    "duplicate": "duplicates",
    "empty": "empty",
    "oversized": "oversized",
    "wrong kind": "wrong_kind",
    "malformed": "malformed",
}
NO_PLACE = tuple(REASONS)[:4]  # reasons that lie with this database, not with the file


@dataclass(frozen=True)
class BadLine:
    """A line that is not taken."""

    line: int  # of the file, from 1
    reason: str  # one of REASONS
    item_id: str | None = None
    user_id: str | None = None
    partition_no: int | None = None
    kind: str | None = None
    detail: str | None = None

    @property
    def about(self) -> str:
        """What a message calls its text."""
        if self.item_id is not None:
            return f"text of item {self.item_id!r}"
        return f"{self.kind} of partition {self.partition_no} of user {self.user_id!r}"

    def __str__(self) -> str:
        if self.reason in NO_PLACE:
            return f"this database has no place for the {self.about}: {self.reason}"
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True)
class ImportReport:
    """What became of a file's texts; `read` is the sum of the counts from `imported` to `malformed`.

    Attributes:
        path: the file.
        knowledge_version: of the texts.
        read: texts of the file.
        imported: stored now.
        already_there: the same text was stored before.
        refused: of erased users, of whom nothing is stored or named, or too old to be kept (`liber retain`).
        unknown_items: left out, as all that follow: no such item was ingested.
        unknown_users: no behaviour of the user was ingested.
        unknown_partitions: the user has no such partition (yet).
        other_content: the partition holds other behaviours, as after sealing by another rule.
        duplicates: a line before is about the same.
        empty: the text is blank.
        oversized: the text or the line is too long.
        wrong_kind: what is no kind of text, or none of what the file is about.
        malformed: not JSON, or a field is missing or not what it must be.
        bad: the first `NAMED` of those left out.
    """

    path: Path
    knowledge_version: str
    read: int
    imported: int
    already_there: int
    refused: int
    unknown_items: int
    unknown_users: int
    unknown_partitions: int
    other_content: int
    duplicates: int
    empty: int
    oversized: int
    wrong_kind: int
    malformed: int
    bad: tuple[BadLine, ...]


def counted(found: Mapping[str, int]) -> dict[str, int]:
    """Verdicts of the lines as the report's counts."""
    counts = {field: found.get(reason, 0) for reason, field in REASONS.items()}
    return {"already_there": found.get("there", 0), "refused": found.get("refused", 0)} | counts
