"""Promises of the migrations: the schema file is their sum, they keep what a database holds, they fail whole."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine

from liber_tasks import db
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.errors import LiberError
from liber_tasks.local import schema
from liber_tasks.local.postgres import Cluster
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests import migration_rows
from tests.behavior import state
from tests.behavior.files import behavior, write_jsonl

MIGRATIONS = sorted((db.SQL / "migrations").glob("*.sql"))
FIRST_RELEASE = 3
END = datetime(2100, 1, 1, tzinfo=UTC)
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'liber' ORDER BY 1"

Start = Callable[[], str]


@pytest.fixture
def empty(cluster: Cluster) -> Start:
    """Makes databases without the schema; gives the URL of each."""

    def make() -> str:
        name = f"migrations_{secrets.token_hex(6)}"
        cluster.ensure({}, {name: "postgres"})
        return cluster.url(name)

    return make


@pytest.fixture
def migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of sql/migrations, empty."""
    folder = tmp_path / "sql" / "migrations"
    folder.mkdir(parents=True)
    for name in ("functions", "queries"):
        (folder.parent / name).symlink_to(db.SQL / name)
    monkeypatch.setattr(db, "SQL", folder.parent)
    return folder


def add(folder: Path, *files: Path) -> list[str]:
    """Put migrations into the folder; their names."""
    for file in files:
        (folder / file.name).symlink_to(file)
    return [file.name for file in files]


def script(url: str, statements: str) -> None:
    """Run a script in a session of its own."""
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statements)
    finally:
        connection.close()


def contents(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables."""
    return {
        table: [row for (row,) in state.rows(engine, f"SELECT to_jsonb(t) FROM liber.{table} t ORDER BY t::text")]  # noqa: S608
        for (table,) in state.rows(engine, _TABLES)
    }


def reduced(rows: list[dict[str, Any]], like: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without the columns that those of old do not have, in an order that does not hang on them."""
    return sorted(({name: row[name] for name in like[0]} for row in rows), key=str)


def test_the_schema_file_is_the_sum_of_the_migrations(empty: Start) -> None:
    url = empty()
    db.migrate(url)
    assert schema.dump(url) == schema.FILE.read_text(encoding="utf-8"), "run `make schema` and read what changed"


def test_a_database_made_by_the_schema_file_is_the_migrations_database(
    empty: Start, settings: Settings, tmp_path: Path
) -> None:
    url = empty()
    script(url, schema.FILE.read_text(encoding="utf-8"))
    assert schema.dump(url) == schema.FILE.read_text(encoding="utf-8")
    assert db.init_db(url) == []
    path = write_jsonl(tmp_path / "e.jsonl", map(behavior, range(20)))
    assert ingest(db.engine(url), settings, [path]).accepted == 20
    assert seal(db.engine(url), PartitionRule(20), END).partitions == 1


def test_the_schema_file_says_nothing_of_the_server_that_wrote_it() -> None:
    dump = schema.FILE.read_text(encoding="utf-8")
    server = """--
-- PostgreSQL database dump
--

\\restrict kP0rB9

-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);
SET row_security = off;

--
-- Name: liber; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA liber;


SET default_tablespace = '';

--
-- PostgreSQL database dump complete
--

\\unrestrict kP0rB9
"""
    assert schema.normalised(server) == "CREATE SCHEMA liber;\n"
    for word in ("Dumped", "restrict ", "OWNER", "Owner", "GRANT", "default_tablespace"):
        assert word not in dump


@pytest.mark.parametrize("version", range(FIRST_RELEASE, len(MIGRATIONS)))
def test_an_old_database_in_use_is_brought_up_to_date_and_loses_nothing(
    empty: Start, settings: Settings, migrations: Path, tmp_path: Path, version: int
) -> None:
    url = empty()
    engine = db.engine(url)
    add(migrations, *MIGRATIONS[: FIRST_RELEASE - 1])
    for number in range(FIRST_RELEASE, version + 1):  # rows as each version wrote them, brought along by the next
        add(migrations, MIGRATIONS[number - 1])
        db.migrate(url)
        script(url, migration_rows.OF_VERSION.get(number, ""))
    before = contents(engine)
    unfilled = [table for table, rows in before.items() if not rows]
    assert not unfilled, f"give these tables rows in migration_rows.V{version}"

    pending = add(migrations, *MIGRATIONS[version:])
    assert db.init_db(url) == pending
    after = contents(engine)
    for table, rows in before.items():
        assert reduced(after[table], rows) == reduced(rows, rows), table
    assert db.init_db(url) == []
    assert contents(engine) == after

    # u1's cache holds 5: with 15 new ones it is full. e25 is known, and so is the file of May.
    new = [behavior(n, event_time=f"2024-05-03T10:00:{n:02}Z") for n in range(26, 41)]
    report = ingest(engine, settings, [write_jsonl(tmp_path / "new.jsonl", [behavior(25), *new])])
    assert (report.accepted, report.duplicates) == (15, 1)
    assert seal(engine, PartitionRule(20), END).partitions == 1
    found = state.rows(engine, "SELECT user_key, partition_no, first_seq, last_seq FROM liber.behavior_partition")
    assert sorted(found) == [(1, 1, 1, 20), (1, 2, 21, 40)]


def test_an_old_database_refuses_the_users_it_erased(
    empty: Start, settings: Settings, migrations: Path, tmp_path: Path
) -> None:
    url = empty()
    add(migrations, *MIGRATIONS[:5])
    db.migrate(url)
    script(url, migration_rows.V5)
    add(migrations, *MIGRATIONS[5:])
    db.init_db(url)
    path = write_jsonl(tmp_path / "e.jsonl", [behavior(1), behavior(2, user_id="erased")])
    assert ingest(db.engine(url), settings, [path]).accepted == 1


def test_several_at_once_apply_each_migration_once(empty: Start) -> None:
    url = empty()
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(db.init_db, [url] * 4))
    assert sorted(applied, key=len) == [[], [], [], [file.name for file in MIGRATIONS]]
    assert db.init_db(url) == []


def test_several_at_once_make_functions_and_views_anew_side_by_side(database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(db.init_db, [database_url] * 8)) == [[]] * 8


def test_a_migration_that_fails_half_way_leaves_the_version_before_it(empty: Start, migrations: Path) -> None:
    url = empty()
    add(migrations, *MIGRATIONS)
    broken = migrations / "29991231000001_broken.sql"
    broken.write_text(
        "-- migrate:up\n"
        "ALTER TABLE liber.user_stream ADD COLUMN half text;\n"
        "CREATE TABLE liber.half (a int);\n"
        "SELECT 1 / 0;\n"
        "-- migrate:down\n"
    )
    with pytest.raises(LiberError, match=r"rolled back.*division by zero"):
        db.init_db(url)
    assert schema.dump(url) == schema.FILE.read_text(encoding="utf-8")

    broken.write_text(broken.read_text().replace("1 / 0", "1"))
    assert db.init_db(url) == [broken.name]
    assert state.rows(db.engine(url), "SELECT FROM liber.half") == []
