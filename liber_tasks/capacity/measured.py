"""Inputs read from a database in use: users, paces, and the tokens of its calls."""

from typing import Any

from sqlalchemy import Engine

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError

CALLS = 1_000  # newest of each kind


def measured(engine: Engine) -> dict[str, Any]:
    """What a plan can be told by a database; only what it knows.

    Users, items, behaviours a day over the days its stream spans, and of the newest calls of each kind the mean tokens
    of prompt and answer. `active_share` is 1 then: behaviours are told a user, active or not.

    Args:
        engine: LIBER database; a read-only role is enough.

    Raises:
        InputError: it holds no behaviour.
        ServiceUnavailable: it cannot be reached.
    """
    with database_errors(), engine.connect() as connection:
        pace = connection.execute(query("capacity/pace")).one()
        kinds = connection.execute(query("capacity/tokens"), {"most": CALLS}).all()
    if not pace.users or not pace.behaviors:
        raise InputError("--measured: the database holds no behaviour yet: leave the option out or run `liber ingest`.")
    found: dict[str, Any] = {
        "users": pace.users, "items": pace.items, "active_share": 1.0,
        "events_per_user": pace.behaviors / max(pace.days, 1.0) / pace.users,
    }  # fmt: skip
    for row in kinds:
        found[f"{row.kind}_tokens_in"], found[f"{row.kind}_tokens_out"] = row.prompt_tokens, row.completion_tokens
    return found
