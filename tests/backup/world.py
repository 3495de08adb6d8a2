"""A local stack of which only PostgreSQL runs, and what its database holds."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from liber_tasks import db
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.local import backup_wal, postgres
from liber_tasks.local.environment import DATABASES, ROLES, Stack
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests.behavior import state
from tests.behavior.files import behavior, write_jsonl
from tests.conftest import free_port

END = datetime(2100, 1, 1, tzinfo=UTC)
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'liber' ORDER BY 1"


def stack_in(folder: Path, **settings: Any) -> Stack:
    """A stack with an archive beside its folder."""
    given = {"backups": folder / "backups", "port_postgres": free_port()} | settings
    return Stack(folder / "var", Settings(_env_file=None, **given))


@contextmanager
def running(stack: Stack) -> Iterator[Engine]:
    """Its PostgreSQL, as `make up` starts it; the LIBER database, schema up to date."""
    backup_wal.prepare(stack.settings.backups)
    stack.cluster.prepare()
    child = stack.cluster.spawn()
    try:
        stack.cluster.ensure({role: stack.secrets[role] for role in ROLES}, DATABASES)
        db.init_db(stack.database_url("liber"))
        yield db.engine(stack.database_url("liber"))
    finally:
        postgres.stop(child)


def day(engine: Engine, settings: Settings, folder: Path, number: int, users: tuple[str, ...] = ("ann", "ben")) -> None:
    """A day's file of four behaviours a user and a bad row of each, sealed by three."""
    rows = [behavior(10 * number + n, event_id=f"{user}/{number}/{n}", user_id=user)
            for user in users for n in range(4)]  # fmt: skip
    bad = [behavior(10 * number, user_id=user, kind="sneeze") for user in users]
    path = write_jsonl(folder / f"day-{number}.jsonl", [*rows, *bad])
    ingest(engine, settings.model_copy(update={"max_rejected_share": 1.0}), [path])
    seal(engine, PartitionRule(3), END)


def now(engine: Engine) -> datetime:
    """The server's clock."""
    return state.rows(engine, "SELECT clock_timestamp()")[0][0]


def digests(engine: Engine) -> dict[str, str]:
    """A digest of all rows of each table: equal where the rows are, in whatever order they lie."""
    rows = "SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM liber."
    return {table: state.rows(engine, f"{rows}{table} AS t")[0][0] for (table,) in state.rows(engine, _TABLES)}


def archived(stack: Stack, segment: str) -> subprocess.CompletedProcess[str]:
    """Run the archive command on a file `segment` in the present folder of the test, as the server does."""
    (command,) = (option.partition("=")[2] for option in stack.cluster.options if option.startswith("archive_command"))
    command = command.replace("%p", segment).replace("%f", Path(segment).name).replace("%%", "%")
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)


def lose(folder: Path) -> None:
    """What a broken disk takes."""
    shutil.rmtree(folder)
