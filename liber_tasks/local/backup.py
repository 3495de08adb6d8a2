"""Backups of the local stack: its cluster, MLflow's artifact files and the secrets, while everything runs.

The database goes first. MLflow's files are written once and before the rows that name them, so files copied afterwards
hold all that the database knows. A file that the backup before has is not copied again but linked.

Not in it: checkpoints (training begins again), Airflow's logs, weights, and services of your own elsewhere.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from sqlalchemy import Row

from liber_tasks import db
from liber_tasks.errors import InputError, LiberError
from liber_tasks.local import postgres
from liber_tasks.local.backup_store import Backup, Store
from liber_tasks.local.backup_verify import verify
from liber_tasks.local.environment import Stack
from liber_tasks.types import Progress, silent

_COPIED = re.compile(r"\s*(\d+)/(\d+) kB")
_START = re.compile(r"START WAL LOCATION: .* \(file ([0-9A-F]{24})\)")


def backup(stack: Stack, keep: int | None = None, progress: Progress = silent) -> Backup:
    """Make a backup and delete old ones. Killed half-way it leaves nothing that looks whole.

    Args:
        stack: its PostgreSQL runs, with LIBER_BACKUPS set when it was started.
        keep: newest backups to keep; None: `backups_keep`.
        progress: told kB copied, then files.

    Raises:
        InputError: LIBER_BACKUPS is not set, or the server was started without it.
        ServiceUnavailable: the server does not run.
        LiberError: no space, archiving fails, or another backup is at work.
    """
    store = Store.of(stack)
    with store.lock():
        _check(_server(stack.cluster), store.root)
        made = copy(stack, stack.cluster, store, progress)
        made.write()
        made = store.publish(made)
        store.keep(keep or stack.settings.backups_keep)
    return made


def copy(stack: Stack, cluster: postgres.Cluster, store: Store, progress: Progress = silent) -> Backup:
    """A backup in the making, whole but for its record.

    Raises:
        LiberError: PostgreSQL could not copy it, or it does not have the checksums it should have.
    """
    space(store.root, _server(cluster).bytes)
    folder, before = store.begin(), store.all()[-1:]
    _copy_cluster(cluster, folder / "base", progress)
    verify(folder / "base", progress)
    with db.database_errors(), db.engine(cluster.url("postgres")).connect() as connection:
        ended_at = connection.execute(db.query("backup/now")).scalar_one()
    copy_files(stack.var / "mlflow", folder / "mlflow", before[0].folder / "mlflow" if before else None, progress)
    shutil.copy2(stack.var / "secrets.json", folder / "secrets.json")
    label = (folder / "base" / "backup_label").read_text(encoding="utf-8")
    return Backup(
        folder,
        ended_at,
        int((folder / "base" / "PG_VERSION").read_text()),
        _START.search(label)[1],  # type: ignore[index]
        size(folder / "base") >> 20,
    )


def space(folder: Path, needed: int) -> None:
    """Check that a folder's disk takes so many bytes. Raises LiberError if it does not."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise LiberError(
            f"{folder} has {free >> 20:,} MB free and needs {needed >> 20:,} MB: make room, keep fewer backups "
            "(LIBER_BACKUPS_KEEP), or name a folder on another disk."
        )


def size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def copy_files(source: Path, target: Path, before: Path | None = None, progress: Progress = silent) -> None:
    """Copy what a folder holds and the target lacks; files that are as in `before` are linked to it.

    What is being written or deleted meanwhile belongs to no row of the database that was copied first.
    """
    target.mkdir(mode=0o700, exist_ok=True)
    if not source.is_dir():
        return
    files = [file.relative_to(source) for file in source.rglob("*") if file.is_file()]
    for done, name in enumerate(files, 1):
        copied = target / name
        if not copied.exists():
            copied.parent.mkdir(parents=True, exist_ok=True)
            _copy_or_link(source / name, copied, before / name if before else None)
        progress(done, len(files), "MLflow's files")


def _copy_or_link(file: Path, target: Path, before: Path | None) -> None:
    try:
        now = file.stat()
        if before and before.exists():
            then = before.stat()
            if (now.st_size, now.st_mtime_ns) == (then.st_size, then.st_mtime_ns):
                os.link(before, target)
                return
        shutil.copy2(file, target)
    except FileNotFoundError:
        return


def _copy_cluster(cluster: postgres.Cluster, folder: Path, progress: Progress) -> None:
    # it dies with us: a killed backup must not go on writing where the next one sweeps
    command = ["setpriv", "--pdeathsig", "KILL", str(postgres.BIN / "pg_basebackup"), "--pgdata", str(folder),
               "--checkpoint=fast", "--wal-method=stream", "--manifest-checksums=SHA256",
               "--progress", "--no-password", "--host=127.0.0.1",
               f"--port={cluster.port}", "--username=postgres"]  # fmt: skip
    with subprocess.Popen(command, env=os.environ | {"PGPASSWORD": cluster.password}, text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:  # fmt: skip
        last = "no reason given"
        for line in child.stderr or ():  # universal newlines: each rewriting of the line is one
            if found := _COPIED.match(line):
                progress(int(found[1]), max(int(found[2]), int(found[1])), "kB of the cluster")
            elif line.strip():
                last = line.strip()
    if child.returncode:
        raise LiberError(f"The backup was not made: {last}.")


def _server(cluster: postgres.Cluster) -> Row:
    with db.database_errors(), db.engine(cluster.url("postgres")).connect() as connection:
        return connection.execute(db.query("backup/server")).one()


def _check(server: Row, root: Path) -> None:
    if not server.archives:
        raise InputError("The server was started without LIBER_BACKUPS: restart the stack with `make down up`.")
    if server.failing:
        raise LiberError(
            f"The server cannot write its log into {root / 'wal'} since {server.last_failed_time:%Y-%m-%d %H:%M}: "
            "see the log of the stack; the folder must be there, have space, and belong to this cluster alone."
        )
