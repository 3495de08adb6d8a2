"""The local stack as it was at a moment: a backup, the log replayed up to there, and nobody back who was erased since.

The cluster is restored beside the one that is there and takes its place at the very end; the old one is kept. Users
who were erased after the moment are in the backup still: who they are is read from the newest state that backups and
log lead to, and they are erased again before anything else can read the restored one.

The log is followed along the backup's own timeline, and each restore ends with a backup of its own, which begins the
next one: a moment always means what the database held at that time, whatever was restored since.
"""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from liber_tasks import db
from liber_tasks.behavior import erase_again
from liber_tasks.errors import InputError, LiberError, ServiceUnavailable
from liber_tasks.learning import forget_traces
from liber_tasks.local import backup_wal, postgres
from liber_tasks.local.backup import copy, copy_files, space
from liber_tasks.local.backup_store import Backup, Store
from liber_tasks.local.backup_verify import verify
from liber_tasks.local.environment import DATABASES, LOOPBACK, ROLES, Stack
from liber_tasks.types import Progress, silent

REPLAY_SECONDS = 7 * 86_400  # a server that replays is left to it; one that fails ends by itself
_TOO_LATE = "recovery ended before configured recovery target was reached"


@dataclass(frozen=True)
class Restored:
    """What one restore came to."""

    backup: str  # it started from
    to: datetime | None  # None: everything that the log holds
    erased_again: int  # users
    traces: int | None  # of them, deleted from MLflow; None: nobody could look
    kept: Path | None  # data folder as it was before; None: there was none
    new_backup: str  # of the restored cluster


def restore(stack: Stack, to: datetime | None = None, progress: Progress = silent) -> Restored:
    """Bring the stopped stack back to a moment. Killed at any point it has changed nothing, or all.

    Args:
        stack: stopped, with LIBER_BACKUPS set.
        to: with a zone; None: the end of the log.
        progress: told the steps.

    Raises:
        InputError: the stack runs, there is no backup for the moment, it is of another version of PostgreSQL, or the
            log ends before the moment.
        LiberError: no space, or a backup or a part of the log is damaged; what was there is as it was.
    """
    store = Store.of(stack)
    _check_stopped(store.data)
    with store.lock():
        chosen, newest = store.before(to), store.newest()
        old = store.data if store.data.exists() else None
        for backup in {chosen, newest}:
            _check(backup, store, old)
        stack.var.mkdir(parents=True, exist_ok=True)
        space(stack.var, chosen.megabytes << 20)
        _bring_secrets(stack, newest)
        erasures = erase_again.Erasures()
        if to is not None:
            with _recovered(stack, store, newest, old, (), progress) as last:
                erasures = erase_again.read(db.engine(_liber(stack, last)))
        with _recovered(stack, store, chosen, old, _until(to, store), progress) as cluster:
            users = erase_again.apply(db.engine(_liber(stack, cluster)), erasures, progress)
            traces = forget_in(stack, cluster, users)
            made = copy(stack, cluster, store, progress)
        if not (stack.var / "mlflow").exists():
            copy_files(newest.folder / "mlflow", stack.var / "mlflow", progress=progress)
        kept = _swap(stack, cluster, made)
        store.publish(made)
    return Restored(chosen.folder.name, to, len(users), traces, kept, made.folder.with_suffix("").name)


def _until(to: datetime | None, store: Store) -> tuple[str, ...]:
    target = (f"recovery_target_time={to.isoformat()}", "recovery_target_action=promote") if to else ()
    return (*target, *backup_wal.archiving(store.root))


@contextmanager
def _recovered(
    stack: Stack, store: Store, backup: Backup, old: Path | None, settings: tuple[str, ...], progress: Progress
) -> Iterator[postgres.Cluster]:
    """A running cluster beside the stack's own, with the present schema: a backup and its log. Nobody knows its port.

    Args:
        stack: whose secrets it has.
        store: where the log is.
        backup: to start from.
        old: data folder of the stopped cluster, whose log may reach further than the archive.
        settings: how far to replay, and whether to archive.
        progress: told the steps.
    """
    with socket.create_server((LOOPBACK, 0)) as probe:
        port = int(probe.getsockname()[1])
    cluster = postgres.Cluster(stack.var / "postgres.restoring", port, stack.secrets["postgres"],
                               (*backup_wal.reading(store.root, old), *settings))  # fmt: skip
    progress(0, 3, f"{backup.folder.name}: copying")
    shutil.rmtree(cluster.data, ignore_errors=True)
    cluster.log.unlink(missing_ok=True)
    shutil.copytree(backup.base, cluster.data)
    cluster.data.chmod(0o700)
    (cluster.data / "recovery.signal").touch()
    postgres.hand_over(cluster.data)
    progress(1, 3, f"{backup.folder.name}: replaying the log")
    try:
        child = cluster.spawn(REPLAY_SECONDS)
    except ServiceUnavailable as error:
        raise _reason(cluster.log, error) from None
    try:
        cluster.ensure({role: stack.secrets[role] for role in ROLES}, DATABASES)
        db.init_db(_liber(stack, cluster))
        progress(2, 3, f"{backup.folder.name}: replayed")
        yield cluster
    finally:
        postgres.stop(child)
    cluster.log.unlink()
    progress(3, 3, f"{backup.folder.name}: done")


def _reason(log: Path, error: LiberError) -> LiberError:
    said = log.read_text(errors="replace")
    if _TOO_LATE not in said:
        return error
    last = said.rpartition("last completed transaction was at log time ")[2].splitlines()[0]
    return InputError(
        f"--to is after the last change that is in the log{f', of {last}' if last != said.splitlines()[0] else ''}: "
        "name an earlier moment, or none for the newest state."
    )


def _liber(stack: Stack, cluster: postgres.Cluster) -> str:
    return cluster.url("liber", "liber", stack.secrets["liber"])


def forget_in(stack: Stack, cluster: postgres.Cluster, users: list[str]) -> int | None:
    """Delete users' traces in MLflow's database on a cluster, where no server of your own keeps them.

    Returns:
        How many; None: nobody could look.
    """
    uri = stack.settings.mlflow_tracking_uri
    if users and uri is None:
        store = cluster.url("mlflow", "mlflow", stack.secrets["mlflow"])
        with db.database_errors(), db.engine(store).connect() as connection:
            if not connection.execute(db.query("backup/has_traces")).scalar_one():
                return 0  # MLflow was never started
        uri = store.replace("postgresql:", "postgresql+psycopg2:")
    return forget_traces(stack.settings.model_copy(update={"mlflow_tracking_uri": uri}), users) if users else 0


def _swap(stack: Stack, cluster: postgres.Cluster, made: Backup) -> Path | None:
    """Put the restored data folder in the place of the old one; where the old one is now."""
    made.write()
    data = stack.cluster.data
    cluster.data.rename(stack.cluster.restored)
    kept = None
    if data.exists():
        kept = data.rename(data.with_name(f"{data.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"))
    stack.cluster.restored.rename(data)
    for marker in (stack.var / "airflow").glob("migrated-*"):
        marker.unlink()  # of the metadata database as it was: the restored one may be older
    return kept


def _check_stopped(data: Path) -> None:
    try:
        number = int((data / "postmaster.pid").read_text().splitlines()[0])
        running = psutil.Process(number).name().startswith("postgres")
    except (OSError, ValueError, IndexError, psutil.Error):
        return
    if running:
        raise InputError("The local stack is running: stop it with `make down`, then restore.")


def _check(backup: Backup, store: Store, old: Path | None) -> None:
    ours = int(postgres.run("postgres", "--version").split()[-1].split(".")[0])
    if backup.major != ours:
        raise InputError(
            f"{backup.folder} is of PostgreSQL {backup.major}, and this is {ours}: restore it with the release that "
            "made it, then upgrade."
        )
    names = [*(file.name for file in (store.root / "wal").iterdir())]
    names += [f"{file.name}.gz" for file in (old / "pg_wal").iterdir()] if old else []
    hole = backup_wal.missing(names, backup.first_wal)
    if hole:
        raise LiberError(
            f"{store.root / 'wal'} lacks {hole}.gz, so nothing after it can be restored: put it back from a copy of "
            "the folder."
        )
    verify(backup.base)


def _bring_secrets(stack: Stack, backup: Backup) -> None:
    """The passwords that open the cluster, where the stack's folder was lost."""
    file = stack.var / "secrets.json"
    if not file.exists():
        shutil.copy2(backup.folder / "secrets.json", file)
