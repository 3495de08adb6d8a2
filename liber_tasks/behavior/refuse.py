"""Refusal: what comes of an erased user does not enter, whichever way it comes."""

from sqlalchemy import Connection

from liber_tasks.behavior.spelling import possible_ids
from liber_tasks.db import query

REFUSED = "user was erased"  # reason in the reports
RAWS_READ = 1_000  # raw texts in memory at once


def refuse(connection: Connection, kind: str, file_id: int, first_rejected: int | None) -> None:
    """Take rows of erased users out of the stage, and clear the raw text of their rejected rows.

    From here to the end of the transaction no user can be erased: an erasure that began before is seen, one that
    begins later waits and finds what this load wrote.

    Args:
        connection: inside the transaction of the load, its stage full.
        kind: what the rows are; items have no user.
        file_id: `ingest_file` of the rejected rows.
        first_rejected: the first rejected line of this load; None: there is none.
    """
    if kind == "items":
        return
    connection.execute(query("erase/hold_off"))
    if not connection.execute(query("behavior/refuse_any")).scalar_one_or_none():
        return
    if first_rejected is not None:
        clear(connection, file_id, first_rejected)
    connection.execute(query(f"behavior/refuse_{kind}"))


def clear(connection: Connection, file_id: int, from_line: int) -> None:
    """Rejected rows that may be of an erased user lose their raw text; line and reason stay."""
    while True:
        wanted = {"file_id": file_id, "from_line": from_line, "most": RAWS_READ}
        rows = connection.execute(query("behavior/refuse_raw_read"), wanted).all()
        if not rows:
            return
        held = {row.line: possible_ids(row.raw) for row in rows}
        asked = {"user_ids": sorted(set().union(*held.values()))}
        erased = set(connection.execute(query("behavior/refuse_raw_match"), asked).scalars())
        lines = [line for line, ids in held.items() if ids & erased]
        if lines:
            connection.execute(query("behavior/refuse_raw_clear"), {"file_id": file_id, "lines": lines})
        from_line = rows[-1].line + 1
