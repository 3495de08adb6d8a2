"""Promise: a database that takes no more connections is told in one sentence, and a re-run finishes."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2
import pytest

from liber_tasks import db
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.errors import ServiceUnavailable
from liber_tasks.local import postgres
from tests.behavior.files import behavior, write_jsonl
from tests.conftest import free_port
from tests.interest.data import rows

SLOTS = 8


@pytest.fixture
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database for `SLOTS` connections and no administrator's."""
    folder = tmp_path_factory.mktemp("slots")
    options = ("fsync=off", f"max_connections={SLOTS}", "superuser_reserved_connections=0", "autovacuum=off")
    server = postgres.Cluster(folder / "data", free_port(), secrets.token_urlsafe(12), options)
    server.prepare()
    child = server.spawn()
    try:
        server.ensure({"liber_reader": server.password}, {"liber": "postgres"})
        db.init_db(server.url("liber"))
        yield server.url("liber")
    finally:
        postgres.stop(child)


def test_no_connection_left_is_said_and_the_same_call_works_once_there_is_one(
    url: str, settings: Settings, tmp_path: Path
) -> None:
    engine = db.engine(url)
    path = write_jsonl(tmp_path / "plays.jsonl", [behavior()])
    with ExitStack() as held:
        for _ in range(SLOTS):
            held.enter_context(closing(psycopg2.connect(url)))
        with pytest.raises(ServiceUnavailable, match=r"PostgreSQL cannot do this: .*too many clients.*run the command"):
            ingest(engine, settings, [path])
    assert ingest(engine, settings, [path]).accepted == 1
    assert rows(engine, "SELECT count(*) FROM liber.behavior") == [(1,)]
