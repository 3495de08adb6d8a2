"""Erasures that outlive a restore: a database brought back from a backup holds users again who were erased since.

Records of erasures are digests (`behavior.erase`). Read from the database as it was before the restore, or from a file
that was written then, they are compared with every id that the restored one holds; who matches is erased again.

The file holds the digests and the secret they are made with: whoever has it can test a guessed id. Keep it as you keep
backups.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from liber_tasks.behavior.erase import erase, remove
from liber_tasks.behavior.refuse import clear
from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.types import Progress, silent

FORMAT = "liber-erasures/1"


@dataclass(frozen=True)
class Erasures:
    """Records of a database's erasures, and its secret; empty where nobody was ever erased."""

    key: str | None = None  # hexadecimal
    records: Sequence[dict[str, Any]] = ()  # rows of liber.erasure, digests in hexadecimal

    def text(self) -> str:
        """As a file holds them."""
        return json.dumps({"format": FORMAT, "key": self.key, "records": list(self.records)})

    @classmethod
    def of_file(cls, file: Path) -> "Erasures":
        """Read such a file. Raises InputError if it is none."""
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            if found["format"] == FORMAT:
                return cls(found["key"], found["records"])
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}.") from None
        except (ValueError, KeyError, TypeError):
            pass
        raise InputError(f"{file} was not written by `liber erasures export` of this release: check the path.")


def read(engine: Engine) -> Erasures:
    """Erasures recorded in a database.

    Raises:
        ServiceUnavailable: it cannot be reached.
    """
    with database_errors(), engine.begin() as connection:
        key = connection.execute(query("erase/key")).scalar_one_or_none()
        records = connection.execute(query("erase/records")).scalars().all()
    return Erasures(key, records)


def apply(engine: Engine, erasures: Erasures, progress: Progress = silent) -> list[str]:
    """Take over records, and erase who is there although a record says that he was erased.

    A user who was erased and re-admitted since the backup loses what the backup brought back, and stays re-admitted.
    Stopped half-way, or called twice, it ends the same.

    Args:
        engine: a restored database, its schema up to date, as the owner of the schema.
        erasures: of the database that it was restored from.
        progress: told users erased.

    Returns:
        Ids of users who were erased again.

    Raises:
        InputError: users were erased here with another secret.
        ServiceUnavailable: the database cannot be reached.
    """
    if erasures.key is None:
        return []
    wanted = {"records": json.dumps(list(erasures.records)), "key": erasures.key}
    with database_errors(), engine.begin() as connection:
        connection.execute(query("erase/take_key"), wanted)
        if connection.execute(query("erase/key")).scalar_one() != erasures.key:
            raise InputError(
                "This database has erased users with a secret of its own, so these records cannot be compared with "
                "it: restore again, and apply them before anybody is erased."
            )
        ended = _found(connection, "erase/found_ended", wanted)
    for user_id in ended:
        remove(engine, user_id)
    with database_errors(), engine.begin() as connection:
        connection.execute(query("erase/lock"))
        connection.execute(query("erase/take_ended"), wanted)
        connection.execute(query("erase/take_records"), wanted)
        users = _found(connection, "erase/found", {})
    for done, user_id in enumerate(users, 1):
        erase(engine, user_id)
        progress(done, len(users), "users erased again")
    with database_errors(), engine.begin() as connection:
        for file_id in connection.execute(query("erase/files_rejected")).scalars().all():
            clear(connection, file_id, 0)
    return ended + users


def _found(connection: Connection, name: str, parameters: dict[str, str]) -> list[str]:
    return list(connection.execute(query(name), parameters).scalars())
