"""Whose texts about items are encoded, compared and explained: one decision for encoder, training and explanations."""

from sqlalchemy import Connection

from liber_tasks.config import Settings
from liber_tasks.db import query
from liber_tasks.errors import InputError

NO_KNOWLEDGE = "none"  # as a setting: the items' attributes alone


def knowledge_in_use(connection: Connection, settings: Settings) -> str | None:
    """Knowledge version of the texts about items; None: attributes alone.

    Args:
        connection: LIBER database.
        settings: `item_knowledge_version`; None: the version with the most texts, if there is any.

    Raises:
        InputError: the version that is set has no text about an item; names those that have.
    """
    wanted = settings.item_knowledge_version
    if wanted == NO_KNOWLEDGE:
        return None
    found = list(connection.execute(query("encoder/item_knowledge_versions")).scalars())
    if wanted is not None and wanted not in found:
        raise InputError(
            f"LIBER_ITEM_KNOWLEDGE_VERSION is {wanted!r}, of which there is no text about an item: run `liber learn "
            f"--items`, or set one of {', '.join([*found, NO_KNOWLEDGE])}."
        )
    return wanted or next(iter(found), None)
