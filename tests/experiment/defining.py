"""Definitions for the tests, and what the database holds of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, text

from liber_tasks.experiment.definition import Definition, parse

START = datetime(2026, 3, 2, tzinfo=UTC)
END = START + timedelta(days=14)
BEFORE, DURING, AFTER = START - timedelta(days=1), START + timedelta(days=3), END + timedelta(days=1)


def definition(**fields: Any) -> Definition:
    """An experiment of two weeks in which everybody is, unless told otherwise."""
    return parse({"name": "ranking", "hypothesis": "More plays.", "starts_at": START, "ends_at": END, **fields})


def rows(engine: Engine, table: str) -> list[dict[str, Any]]:
    """All rows of a table."""
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT * FROM liber.{table} AS t ORDER BY t::text"))  # noqa: S608
        return [dict(row) for row in found.mappings()]
