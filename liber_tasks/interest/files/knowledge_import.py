"""Import: a file of texts into a database that has what they are about, all of it or nothing."""

from pathlib import Path

from sqlalchemy import Connection, Engine

from liber_tasks.db import database_errors
from liber_tasks.errors import InputError
from liber_tasks.interest.files import fields, item_format, knowledge_format
from liber_tasks.interest.files.made_elsewhere import Elsewhere, Reader, Refused, Subject, subject_of
from liber_tasks.interest.files.report import ImportReport
from liber_tasks.interest.files.source import Source, opened, sealed
from liber_tasks.interest.files.stage import Staged, Version, content, load, stage
from liber_tasks.interest.prompts import plain_name
from liber_tasks.types import Progress, silent

_NAMED: dict[Subject, str] = {"items": "items-elsewhere", "partitions": "elsewhere"}  # within a version's name


def import_(
    engine: Engine,
    path: str | Path,
    *,
    skip_bad: bool = False,
    version: str | None = None,
    model: str | None = None,
    progress: Progress = silent,
) -> ImportReport:
    """Store the texts of a file, in one transaction: a knowledge file of partitions (`knowledge_format`) or of items
    (`item_format`), or one made elsewhere (`made_elsewhere`); its first line says which.

    The file is read to its end, and one of LIBER's own is found whole, before anything is stored. A second import
    changes nothing. Learning waits while the texts are stored, and does not ask for them afterwards; an erasure waits
    too. Texts of erased users never enter, and do not keep the others out.

    Args:
        engine: LIBER database.
        path: file, compressed or not.
        skip_bad: leave out texts of items, users, partitions or contents that this database does not have, and bad
            lines of a file made elsewhere.
        version: knowledge version of a file made elsewhere; None: named after its model and its content.
        model: that wrote the texts of a file made elsewhere, where its lines do not say so.
        progress: told about texts read.

    Raises:
        InputError: the file cannot be read, or is damaged; or a line is bad and `skip_bad` is not set; or another text
            is there already under this knowledge version; or the version was made with something else. Nothing was
            imported.
        ServiceUnavailable: the database cannot be reached.
    """
    path = Path(path)
    for option, value in (("--version", version), ("--model", model)):
        if value is not None and not fields.is_name(value):
            raise InputError(f"{option} is {fields.shown(value)}, which is no name: write up to 1,000 bytes of text.")
    with opened(path) as source, database_errors(), engine.begin() as connection:
        subject = subject_of(source.first)
        if subject is not None:
            return _made_elsewhere(connection, Reader(source, subject, model), version, skip_bad, progress)
        for option, value in (("--version", version), ("--model", model)):
            if value is not None:
                raise InputError(f"{path} says itself what its texts were made with: leave {option} out.")
        return _own(connection, source, skip_bad, progress)


def _own(connection: Connection, source: Source, skip_bad: bool, progress: Progress) -> ImportReport:
    """A file that LIBER exported: it names its version, and no line of it is bad."""
    subject: Subject = "items" if fields.format_of(source.first) == item_format.FORMAT else "partitions"
    form = item_format if subject == "items" else knowledge_format
    with source.naming():
        header = form.read_header(source.first)
    texts = sealed(source, header.texts, header.sha256, form.read_text)
    stage(connection, (Staged(line, **text._asdict()) for line, text in texts), header.texts, progress)
    made_with = {name: value for name, value in vars(header).items() if name not in ("texts", "sha256")}
    return load(connection, source.path, subject, Version(**made_with), skip_bad=skip_bad)


def _made_elsewhere(
    connection: Connection, reader: Reader, version: str | None, skip_bad: bool, progress: Progress
) -> ImportReport:
    """A file of another program: its version is named after what it says, and so is the prompt nobody knows."""
    stage(connection, (_staged(line, text) for line, text in reader), None, progress)
    model = reader.model or "unknown"  # no line is good
    digest = content(connection, model)
    origin = f"elsewhere/{digest[:8]}"
    written_by = plain_name(model.rsplit("/", 1)[-1]) or "model"
    name = version or f"{written_by}-{_NAMED[reader.subject]}-{digest[:10]}"
    if reader.subject == "items":
        made = Version(name, model, item_prompt=origin)
    else:
        parameters = {} if reader.has_shift else {"variant": "no_shift"}
        made = Version(name, model, summary_prompt=origin, shift_prompt=origin, parameters=parameters)
    return load(connection, reader.path, reader.subject, made, skip_bad=skip_bad, content_sha256=digest)


def _staged(line: int, text: Elsewhere | Refused) -> Staged:
    if isinstance(text, Refused):
        return Staged(line, bad=text.reason, detail=text.detail)
    stated = {name: value for name, value in text._asdict().items() if name != "model"}
    if text.item_id is None:
        stated |= {"left_out": 0, "latency_seconds": 0.0}  # the table wants numbers: nobody waited here
    return Staged(line, **stated, content_sha256=text.content_sha256)
