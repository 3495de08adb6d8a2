"""The rehearsal of docs/backup.md on servers of one's own: the commands that it prints, on a plain role's database."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from liber_tasks import db
from liber_tasks.behavior.erase import erase
from liber_tasks.config import ROOT, Settings
from liber_tasks.local import postgres
from tests.backup.world import day, digests, now
from tests.behavior import state
from tests.behavior.erasing import places
from tests.conftest import free_port

pytestmark = pytest.mark.timeout(3000)  # servers are stopped and started, on whatever machine
DOCS = (ROOT / "docs" / "backup.md").read_text(encoding="utf-8")


def as_printed(name: str, **variables: str) -> None:
    """Run a block of the page with variables set."""
    (script,) = re.findall(rf"<!-- run: {name} -->\n```bash\n(.*?)```", DOCS, re.DOTALL)
    path = f"{postgres.BIN}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-euc", script], env={**os.environ, "PATH": path, **variables}, cwd=ROOT,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr


@contextmanager
def server(data: Path, *options: str) -> Iterator[postgres.Cluster]:
    cluster = postgres.Cluster(data, free_port(), "administrator", options)
    cluster.prepare()
    postgres.hand_over(data)
    child = cluster.spawn()
    try:
        yield cluster
    finally:
        postgres.stop(child)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A server with a backup of each sort, a user erased after both, and what was there at the moment between."""
    folder = tmp_path_factory.mktemp("external")
    (folder / "wal").mkdir()
    postgres.hand_over(folder)
    settings = Settings(_env_file=None)
    archive = f"archive_command=test ! -f {folder}/wal/%f && cp %p {folder}/wal/%f"
    with server(folder / "first", "archive_mode=on", archive) as cluster:
        cluster.ensure({"app": "password"}, {"liber": "app"})
        url = cluster.url("liber", "app", "password")
        db.init_db(url)
        engine = db.engine(url)
        variables = {"ADMIN": cluster.url("postgres"), "BACKUPS": str(folder), "LIBER_DATABASE_URL": url}
        day(engine, settings, folder, 1)
        as_printed("physical backup", **variables)
        day(engine, settings, folder, 2)
        as_printed("logical backup", **variables)
        found = {"folder": folder, "held": digests(engine), "moment": now(engine), "settings": settings}
        day(engine, settings, folder, 3)
        erase(engine, "ann")
        found["end"] = state.everything(engine)
        subprocess.run([Path(sys.executable).with_name("liber"), "erasures", "export", folder / "erasures.json"],
                       env=os.environ | variables, cwd=ROOT, check=True, capture_output=True)  # fmt: skip
    return found


def goes_on(engine: Engine, told: dict[str, Any], backups: Path) -> None:
    """The rows of the moment; ann away for good; the lost day loaded again gives the data of a run undisturbed."""
    assert digests(engine) == told["held"]
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    as_printed("after a restore", BACKUPS=str(backups), LIBER_DATABASE_URL=url)
    assert places(engine, "ann") == []
    day(engine, told["settings"], backups, 3)
    found = state.everything(engine)
    for part in ("stream", "cursors", "partitions", "profiles", "rejected"):
        assert found[part] == told["end"][part]


def test_a_base_backup_and_the_log_give_the_moment_back(told: dict[str, Any]) -> None:
    folder: Path = told["folder"]
    moment: datetime = told["moment"]
    as_printed("physical restore", BACKUPS=str(folder), DATA=str(folder / "second"), TO=moment.isoformat())
    with server(folder / "second", "hot_standby=off") as cluster:
        goes_on(db.engine(cluster.url("liber", "app", "password")), told, folder)


def test_a_dump_gives_the_database_back_on_a_new_server_with_roles_and_extension(told: dict[str, Any]) -> None:
    folder: Path = told["folder"]
    with server(folder / "third") as cluster:
        as_printed("logical restore", ADMIN=cluster.url("postgres"), BACKUPS=str(folder))
        # the dump of the first server's roles brought its administrator's password along: they are the same here
        engine = db.engine(cluster.url("liber", "app", "password"))
        assert state.rows(engine, "SELECT extname FROM pg_extension WHERE extname = 'vector'") == [("vector",)]
        goes_on(engine, told, folder)
