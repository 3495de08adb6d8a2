"""Promise: a database without connections or room left is told in one sentence, and a re-run finishes."""

import resource
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
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
from tests.drills.content import content
from tests.interest.data import rows

SLOTS = 8
ROOM = 3 * 2**20  # bytes of the largest file where there is no more room
WAL = 1  # megabytes of a segment: it has to fit there
ROWS = 60_000  # they do not


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


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Processes begun inside may write no file larger than this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_room_left_is_said_leaves_nothing_behind_and_the_same_call_works_once_there_is_some(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("room")
    options = ("fsync=off", "min_wal_size=2MB", "max_wal_size=64MB")
    server = postgres.Cluster(folder / "data", free_port(), secrets.token_urlsafe(12), options)
    server.prepare()
    postgres.run("pg_resetwal", f"--wal-segsize={WAL}", "-D", str(server.data), **postgres.as_system_user())
    path = write_jsonl(folder / "plays.jsonl", [behavior(n, user_id=f"u{n % 999}") for n in range(ROWS)])
    with files_of_at_most(ROOM):
        child = server.spawn()
    try:
        server.ensure({"liber_reader": server.password}, {"liber": "postgres"})
        db.init_db(server.url("liber"))
        engine = db.engine(server.url("liber"))
        with pytest.raises(ServiceUnavailable, match=r"PostgreSQL cannot do this: could not extend file .*the server"):
            ingest(engine, settings, [path])
        left = content(engine)
        assert not any(left.values())
        postgres.stop(child)
        child = server.spawn()  # with room
        engine.dispose()
        assert ingest(engine, settings, [path]).accepted == ROWS
        assert rows(engine, "SELECT count(*) FROM liber.behavior") == [(ROWS,)]
    finally:
        postgres.stop(child)
