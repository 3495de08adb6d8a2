"""Promises of a backup: whole or not there, private, few enough; and of the errors of backup and restore."""

import fcntl
import json
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from liber_tasks import db
from liber_tasks.config import ROOT
from liber_tasks.errors import InputError, LiberError, ServiceUnavailable
from liber_tasks.interest.call import PartitionPlace
from liber_tasks.interest.trace_format import Traced
from liber_tasks.interest.traces import _Sender as Sender
from liber_tasks.local import backup_wal
from liber_tasks.local.backup import backup
from liber_tasks.local.backup_store import PARTIAL, RECORD, Backup, Store
from liber_tasks.local.backup_verify import verify
from liber_tasks.local.environment import Stack
from liber_tasks.local.restore import forget_in, restore
from tests.backup.world import archived, running, stack_in
from tests.behavior import state

pytestmark = pytest.mark.timeout(3000)  # servers are stopped and started, on whatever machine
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
KILLED = """
import sys
from pathlib import Path
from liber_tasks.config import Settings
from liber_tasks.local.backup import backup
from liber_tasks.local.environment import Stack

def told(done, total, label):
    if label == sys.argv[4]:
        print("there", flush=True)
        sys.stdin.read()

settings = Settings(_env_file=None, backups=Path(sys.argv[2]), port_postgres=int(sys.argv[3]))
backup(Stack(Path(sys.argv[1]), settings), progress=told)
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    stack = stack_in(tmp_path_factory.mktemp("backup"))
    (stack.var / "mlflow").mkdir(parents=True)
    (stack.var / "mlflow" / "model.bin").write_bytes(b"weights")
    return stack


@pytest.fixture(scope="module")
def live(stack: Stack) -> Iterator[Engine]:
    """Its server, for this module."""
    with running(stack) as engine:
        yield engine


@pytest.fixture(scope="module")
def store(stack: Stack, live: Engine) -> Store:
    """Its backups: two."""
    backup(stack)
    backup(stack)
    return Store.of(stack)


def test_a_backup_is_what_postgresql_wrote_and_can_tell_when_it_is_not(store: Store, tmp_path: Path) -> None:
    base = shutil.copytree(store.newest().base, tmp_path / "base")
    verify(base)
    with (base / "PG_VERSION").open("a") as file:
        file.write("x")
    with pytest.raises(LiberError, match="PG_VERSION is not what it was"):
        verify(base)
    (base / "PG_VERSION").unlink()
    with pytest.raises(LiberError, match="PG_VERSION: No such file"):
        verify(base)
    manifest = base / "backup_manifest"
    manifest.write_text(manifest.read_text().replace("PG_VERSION", "PG_VERSIOM"))
    with pytest.raises(LiberError, match="backup_manifest is not what it was"):
        verify(base)


def test_files_that_did_not_change_are_stored_once(store: Store) -> None:
    first, second = (made.folder / "mlflow" / "model.bin" for made in store.all())
    assert first.read_bytes() == b"weights"
    assert first.samefile(second)


def test_only_the_newest_are_kept_and_the_log_since_the_oldest_of_them(stack: Stack, store: Store) -> None:
    backup(stack, keep=2)
    kept = store.all()
    assert len(kept) == 2
    segments = sorted(path.name for path in (store.root / "wal").glob("????????????????????????.gz"))
    assert segments[0][:24] >= kept[0].first_wal
    assert backup_wal.missing(segments, kept[0].first_wal) is None


@pytest.mark.parametrize("step", ["kB of the cluster", "files verified", "MLflow's files"])
def test_killed_at_any_step_it_leaves_nothing_that_looks_whole(stack: Stack, store: Store, step: str) -> None:
    before = store.all()
    arguments = [str(stack.var), str(store.root), str(stack.settings.port_postgres), step]
    worker = subprocess.Popen([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert worker.stdout is not None
    assert worker.stdout.readline() == "there\n"
    worker.kill()
    worker.communicate()
    assert store.all() == before
    assert list(store.root.glob(f"*{PARTIAL}"))
    with store.lock():
        assert not list(store.root.glob(f"*{PARTIAL}"))
    assert store.all() == before


def test_of_two_at_once_the_second_says_so(stack: Stack, store: Store) -> None:
    with (store.root / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LiberError, match="Another backup or restore is at work"):
            backup(stack)


def test_without_space_nothing_is_begun(stack: Stack, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("usage", "free")(1 << 20))
    before = sorted(store.root.iterdir())
    with pytest.raises(LiberError, match=r"has 1 MB free and needs \d+ MB"):
        backup(stack)
    assert sorted(store.root.iterdir()) == before


def test_a_running_stack_is_not_restored_over(stack: Stack, store: Store) -> None:
    with pytest.raises(InputError, match="make down"):
        restore(stack)


def test_a_server_that_does_not_archive_is_not_backed_up(stack: Stack, live: Engine, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="LIBER_BACKUPS is not set"):
        backup(Stack(stack.var, stack.settings.model_copy(update={"backups": None})))
    with pytest.raises(InputError, match="within the data folder"):
        backup(Stack(stack.var, stack.settings.model_copy(update={"backups": stack.var / "postgres" / "b"})))
    with pytest.raises(ServiceUnavailable):
        backup(Stack(stack.var, stack.settings.model_copy(update={"port_postgres": 1})))


def test_traces_leave_mlflows_database_though_no_mlflow_runs(stack: Stack, live: Engine) -> None:
    assert forget_in(stack, stack.cluster, ["ann"]) == 0, "MLflow was never started"
    uri = stack.cluster.url("mlflow", "mlflow", stack.secrets["mlflow"]).replace("postgresql:", "postgresql+psycopg2:")
    calls = [Traced(user, PartitionPlace(user, 1, 1), "summary", "prompt", "answer", "m", "tgi", 1, 1, 0.1, NOON, None)
             for user in ("ann", "ann", "ben")]  # fmt: skip
    Sender(uri).send(calls, {})
    assert [forget_in(stack, stack.cluster, [user]) for user in ("ann", "ann", "ben")] == [2, 0, 1]


def test_a_segment_is_archived_once_whole_and_never_overwritten(stack: Stack, store: Store, tmp_path: Path) -> None:
    segment = tmp_path / "0000000900000000000000AA"
    segment.write_bytes(b"log" * 1000)
    assert archived(stack, str(segment)).returncode == 0
    assert archived(stack, str(segment)).returncode == 0, "the same again"
    segment.write_bytes(b"other" * 1000)
    assert archived(stack, str(segment)).returncode != 0
    target = store.root / "wal" / f"{segment.name}.gz"
    assert subprocess.run(["gzip", "-dc", target], capture_output=True, check=True).stdout == b"log" * 1000
    target.unlink()


def test_a_failing_archive_is_noticed(stack: Stack, store: Store) -> None:
    wal = store.root / "wal"
    wal.rename(wal.with_name("away"))
    wal.touch()  # no folder
    engine = db.engine(stack.cluster.url("postgres"))
    try:
        for statement in ("SELECT pg_logical_emit_message(FALSE, 'x', 'x')", "SELECT pg_switch_wal()"):
            state.rows(engine, statement)
        while not state.rows(engine, "SELECT failed_count, pg_sleep(0.05) FROM pg_stat_archiver")[0][0]:
            pass
        with pytest.raises(LiberError, match="cannot write its log into"):
            backup(stack)
    finally:
        wal.unlink()
        wal.with_name("away").rename(wal)


# What can be told without a server


def record(store: Store, name: str, ended_at: datetime, major: int = 18, first: str = "0" * 23 + "1") -> Backup:
    folder = store.root / name
    folder.mkdir(parents=True)
    made = Backup(folder, ended_at, major, first, 1)
    made.write()
    return made


@pytest.fixture
def empty(tmp_path: Path) -> tuple[Stack, Store]:
    """A stopped stack with a folder of backups."""
    stack = stack_in(tmp_path)
    backup_wal.prepare(stack.settings.backups)
    return stack, Store.of(stack)


def test_the_youngest_backup_before_the_moment_is_taken(empty: tuple[Stack, Store]) -> None:
    stack, store = empty
    with pytest.raises(InputError, match="There is no backup in"):
        restore(stack)
    made = [record(store, f"b{hour}", NOON + timedelta(hours=hour)) for hour in (2, 0, 1)]
    assert store.before(NOON + timedelta(minutes=90)) == made[2]
    assert store.before(None) == made[0]
    with pytest.raises(InputError, match=r"the first moment is 2026-01-31T12:00:00\+00:00"):
        restore(stack, NOON - timedelta(seconds=1))


def test_a_backup_of_another_version_is_refused(empty: tuple[Stack, Store]) -> None:
    stack, store = empty
    record(store, "b", NOON, major=17)
    with pytest.raises(InputError, match="is of PostgreSQL 17, and this is 18"):
        restore(stack)
    assert not (stack.var / "postgres").exists()


def test_a_hole_in_the_log_is_named(empty: tuple[Stack, Store]) -> None:
    stack, store = empty
    record(store, "b", NOON)
    for number in (1, 3):
        (store.root / "wal" / f"{number:024X}.gz").touch()
    with pytest.raises(LiberError, match=r"lacks 000000000000000000000002\.gz"):
        restore(stack)


@pytest.mark.parametrize("old_is_there", [True, False])
def test_a_restore_that_was_killed_at_its_end_is_undone_or_ended(
    empty: tuple[Stack, Store], old_is_there: bool
) -> None:
    stack, store = empty
    record(store, f"b{PARTIAL}", NOON)
    stack.cluster.restored.mkdir(parents=True)
    if old_is_there:
        stack.cluster.data.mkdir()
    with store.lock():
        assert stack.cluster.data.exists()
        assert not stack.cluster.restored.exists()
        assert [made.folder.name for made in store.all()] == ([] if old_is_there else ["b"])


def test_a_stack_that_starts_ends_such_a_restore(empty: tuple[Stack, Store]) -> None:
    stack, _ = empty
    stack.cluster.restored.mkdir(parents=True)
    (stack.cluster.restored / "restored").touch()
    stack.cluster.prepare()
    assert (stack.cluster.data / "restored").exists()


@given(st.integers(0, 3 * 256), st.sets(st.integers(0, 40)), st.integers(0, 40))
def test_the_first_missing_segment_is_the_first_that_a_later_one_follows(
    start: int, there: set[int], first: int
) -> None:
    def name(number: int) -> str:
        return f"00000001{number // 256:08X}{number % 256:08X}"

    files = [f"{name(start + number)}.gz" for number in there]
    noise = ["00000002.history.gz", f"00000002{'0' * 15}9.gz", f"{name(start)}.gz.99", f"{name(start)}.partial.gz"]
    lacking = [number for number in range(first, max(there, default=0)) if number not in there]
    wanted = name(start + lacking[0]) if lacking else None
    assert backup_wal.missing([*files, *noise], name(start + first)) == wanted


def test_the_record_of_a_backup_is_for_its_owner_only(empty: tuple[Stack, Store]) -> None:
    made = record(empty[1], "b", NOON)
    assert (made.folder / RECORD).stat().st_mode & 0o077 == 0
    assert json.loads((made.folder / RECORD).read_text())["major"] == 18
    assert Backup.read(made.folder) == made
