"""Exposures: who was served in an experiment, from when on. One row a user: the first exposure, in the user's own arm.

A user belongs to the arm that the bucket gives, whichever was served: to sort users by what they got would undo the
randomisation. That the other arm was served is kept (`crossed_at`), so that a readout can say how many crossed over.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.experiment.copying import copy
from liber_tasks.experiment.stored import load
from liber_tasks.types import Progress, silent

COPY_ROWS = 100_000  # bounds memory: one COPY holds at most this many rows
MAX_ID_BYTES = 512


class Exposure(NamedTuple):
    """A user was served; made by `exposure`, which checks it."""

    user_id: str
    exposed_at: datetime
    served: str | None = None  # the arm that was really served; None: the user's own


@dataclass(frozen=True)
class ExposureReport:
    """What a call of `log_exposures` came to."""

    experiment: str
    rows: int  # read
    added: int  # users exposed for the first time
    changed: int  # users known already, exposed or crossed earlier than was known
    crossed: int  # users of this call served the other arm
    refused: dict[str, int]  # reason -> rows; only reasons that there are

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def exposure(user_id: Any, exposed_at: Any, served: Any = None, *, where: str) -> Exposure:
    """A checked exposure.

    Args:
        user_id: external id, 1 to 512 bytes of UTF-8 without NUL.
        exposed_at: with time zone.
        served: control, treatment, or None.
        where: begins the message, such as "row 3".

    Raises:
        InputError: says what is wrong and what to do.
    """
    if not isinstance(user_id, str) or not user_id.strip() or "\0" in user_id or not _size(user_id) <= MAX_ID_BYTES:
        raise InputError(f"{where}: user_id is {_shown(user_id)}; give 1 to {MAX_ID_BYTES} bytes of text without NUL.")
    if not isinstance(exposed_at, datetime) or exposed_at.tzinfo is None:
        raise InputError(
            f"{where}: exposed_at is {_shown(exposed_at)}; give a moment with its zone, as 2026-03-02T12:00:00Z."
        )
    if served not in ("control", "treatment", None):
        raise InputError(f"{where}: arm is {_shown(served)}; give control or treatment, or leave it out.")
    return Exposure(user_id, exposed_at, served)


def log_exposures(
    engine: Engine, name: str, rows: Iterable[tuple[Any, ...]], *, progress: Progress = silent
) -> ExposureReport:
    """Store first exposures, all or nothing. The order of calls does not matter, nor that one is repeated.

    Rows of users outside the experiment, of erased users, from before its start or after its end, or that come after it
    was archived, are counted and not stored: a service need not know.

    Args:
        engine: LIBER database; the role writes liber.exposure and may lock liber.experiment.
        name: of the experiment.
        rows: (user_id, exposed_at) or (user_id, exposed_at, arm served); moments with time zone.
        progress: told the rows read.

    Raises:
        InputError: the experiment is unknown or simulated, or a row is wrong (named by its number, from 1). Nothing is
            stored.
        ServiceUnavailable: the database cannot be reached.
    """
    with database_errors(), engine.begin() as connection:
        connection.execute(query("erase/hold_off"))
        connection.execute(query("experiment/hold_open"), {"name": name})
        experiment = load(connection, name)
        if experiment.simulated:
            raise InputError(f"Experiment {name!r} is simulated: only `simulate` writes its exposures.")
        connection.execute(query("experiment/stage_exposures"))
        number = _stage(connection, _checked(rows), progress)
        if experiment.archived_at is not None:
            return ExposureReport(name, number, 0, 0, 0, {"archived": number} if number else {})
        key = {"experiment_key": experiment.experiment_key}
        connection.execute(query("experiment/judge_exposures"), key)
        stored = connection.execute(query("experiment/store_exposures"), key).one()
        refused = connection.execute(query("experiment/refused_exposures"), key).one()
    reasons = {reason: getattr(refused, reason) for reason in ("before_start", "after_end", "outside", "erased")}
    return ExposureReport(
        name,
        number,
        stored.added - refused.erased_users,
        stored.changed,
        refused.crossed,
        {reason: n for reason, n in reasons.items() if n},
    )


def _checked(rows: Iterable[tuple[Any, ...]]) -> Iterator[Exposure]:
    for number, row in enumerate(rows, 1):
        if isinstance(row, Exposure):
            yield row
        elif isinstance(row, tuple | list) and len(row) in (2, 3):
            yield exposure(*row, where=f"Row {number}")
        else:
            raise InputError(
                f"Row {number} is {_shown(row)}; give (user_id, exposed_at) or (user_id, exposed_at, arm)."
            )


def _stage(connection: Connection, rows: Iterator[Exposure], progress: Progress) -> int:
    """Copy rows into the stage; how many there were."""
    import pyarrow as pa

    schema = pa.schema([("user_id", pa.string()), ("exposed_at", pa.timestamp("us", "UTC")), ("served", pa.string())])
    number = 0
    while chunk := list(islice(rows, COPY_ROWS)):
        columns = [pa.array(column, field.type) for column, field in zip(zip(*chunk, strict=True), schema, strict=True)]
        copy(connection, "experiment/copy_exposure_stage", pa.record_batch(columns, schema=schema))
        number += len(chunk)
        progress(number, None, "exposures")
    return number


def _size(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return MAX_ID_BYTES + 1


def _shown(value: Any) -> str:
    whole = repr(value)
    return whole if len(whole) <= 60 else whole[:57] + "..."
