"""The hash-partitioned variant of the schema, for several ingesters and sealers on one large server (docs/scale.md).

The tables that grow with every behaviour become N tables by a hash of the user. Each has its own indexes and its own
vacuum; the statements of the product stay as they are, because every key starts with the user.
"""

from liber_tasks import db
from liber_tasks.errors import InputError

MOST = 1024


def check_partitions(partitions: int) -> None:
    """Raise InputError unless the number is a power of two from 2 to 1024."""
    if not 2 <= partitions <= MOST or partitions.bit_count() != 1:
        raise InputError(f"hash partitions == {partitions}, must be a power of two from 2 to {MOST}.")


def hash_partition(url: str, partitions: int) -> bool:
    """Make the behaviour tables of a new database hash-partitioned by user.

    A second call with the same number does nothing. All in one transaction: it happens whole or not at all.

    Args:
        url: LIBER database with the current schema (`db.init_db`), as the owner of the schema.
        partitions: how many; a power of two from 2 to 1024, so that a later split can halve them.

    Returns:
        Whether anything was changed.

    Raises:
        InputError: the number is none of these, the database holds behaviours already, or it has another number of
            partitions.
        LiberError: the database has no schema yet.
        ServiceUnavailable: the database cannot be reached, or is too small for so many tables
            (max_locks_per_transaction).
    """
    check_partitions(partitions)
    with db.database_errors(), db.engine(url).begin() as connection:
        connection.execute(db.query("scale/lock"))
        found = connection.execute(db.query("scale/state")).one()
        if found.partitions == partitions:
            return False
        if found.partitions:
            raise InputError(
                f"The database has {found.partitions} hash partitions, not {partitions}: their number is fixed when "
                f"the database is made; give {found.partitions}, or make a new database."
            )
        if found.filled:
            raise InputError(
                "The database holds behaviours already, and only empty tables can be hash-partitioned: make a new "
                "database, run `liber init-db --hash-partitions` on it and ingest the files there."
            )
        connection.execute(db.query("scale/hash_partition"), {"partitions": partitions})
        db.grant(connection)
    return True
