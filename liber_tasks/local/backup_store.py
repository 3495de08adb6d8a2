"""The folder of backups. A backup is a folder with a record in it; what lacks one, or is named `.partial`, is none.

    BACKUPS/20261130T141500Z/   backup.json  base/ (the cluster)  mlflow/ (artifacts)  secrets.json
    BACKUPS/wal/                the write-ahead log since the oldest of them

All of it is personal data and passwords: open to its owner only.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from liber_tasks.errors import InputError, LiberError
from liber_tasks.local import backup_wal
from liber_tasks.local.environment import Stack, write_private

PARTIAL = ".partial"
RECORD = "backup.json"


@dataclass(frozen=True)
class Backup:
    """One complete backup."""

    folder: Path
    ended_at: datetime  # the first moment that it can be restored to; with a zone
    major: int  # version of PostgreSQL
    first_wal: str  # segment of the log that it starts with
    megabytes: int  # of the cluster

    @property
    def base(self) -> Path:
        """The cluster's data folder, as PostgreSQL wrote it."""
        return self.folder / "base"

    @classmethod
    def read(cls, folder: Path) -> "Backup":
        """A backup by its record."""
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return cls(folder, **record | {"ended_at": datetime.fromisoformat(record["ended_at"])})

    def write(self) -> None:
        """Write the record: the last thing that makes a backup one."""
        os.sync()
        record = asdict(self) | {"ended_at": self.ended_at.isoformat()}
        del record["folder"]
        write_private(self.folder / RECORD, json.dumps(record))


@dataclass(frozen=True)
class Store:
    """The folder that LIBER_BACKUPS names."""

    root: Path
    data: Path  # data folder of the stack's cluster

    @classmethod
    def of(cls, stack: Stack) -> "Store":
        """Store of a stack.

        Raises:
            InputError: LIBER_BACKUPS is not set, or lies within the data folder.
        """
        root = stack.settings.backups
        if root is None:
            raise InputError(
                "LIBER_BACKUPS is not set: name a folder, best on another disk, and restart the stack with "
                "`make down up`."
            )
        data = stack.var / "postgres"
        if root.resolve().is_relative_to(data.resolve()):
            raise InputError(f"LIBER_BACKUPS is {root}, within the data folder: name a folder outside of it.")
        return cls(root.resolve(), data)

    def all(self) -> list[Backup]:
        """Complete backups, oldest first."""
        if not self.root.is_dir():
            return []
        found = [Backup.read(record.parent) for record in self.root.glob(f"*/{RECORD}")
                 if record.parent.suffix != PARTIAL]  # fmt: skip
        return sorted(found, key=lambda backup: backup.ended_at)

    def newest(self) -> Backup:
        """The newest backup. Raises InputError if there is none."""
        found = self.all()
        if not found:
            raise InputError(f"There is no backup in {self.root}: check LIBER_BACKUPS, or make one with `make backup`.")
        return found[-1]

    def before(self, moment: datetime | None) -> Backup:
        """The backup to start from to reach a moment; None: the end of the log.

        Raises:
            InputError: every backup is younger, or there is none.
        """
        newest = self.newest()
        if moment is None:
            return newest
        fit = [backup for backup in self.all() if backup.ended_at <= moment]
        if not fit:
            first = self.all()[0].ended_at.isoformat(timespec="seconds")
            raise InputError(f"--to {moment.isoformat()} is before the oldest backup: the first moment is {first}.")
        return fit[-1]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Alone at work here, without what a killed one left half-made.

        Raises:
            LiberError: another backup or restore is at work.
        """
        backup_wal.prepare(self.root)
        with (self.root / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LiberError(
                    f"Another backup or restore is at work in {self.root}: run it again afterwards."
                ) from None
            self._sweep()
            yield

    def _sweep(self) -> None:
        """End what a killed call began: a backup with a record is whole, unless it is of a restore that came to
        nothing, because its cluster never took the old one's place."""
        restored = self.data.with_name(self.data.name + ".restored")
        undone = self.data.exists() and restored.exists()
        for partial in self.root.glob(f"*{PARTIAL}"):
            if (partial / RECORD).exists() and not undone:
                partial.rename(partial.with_suffix(""))
            else:
                shutil.rmtree(partial)
        if undone:
            shutil.rmtree(restored)
        elif restored.exists():
            restored.rename(self.data)

    def begin(self) -> Path:
        """A new folder for a backup in the making."""
        folder = self.root / f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}{PARTIAL}"
        folder.mkdir(mode=0o700)
        return folder

    def publish(self, made: Backup) -> Backup:
        """Let a backup count that has its record."""
        return Backup.read(made.folder.rename(made.folder.with_suffix("")))

    def keep(self, newest: int) -> int:
        """Delete all backups but the newest ones, and the log that only they needed; number of backups deleted."""
        found = self.all()
        old = found[:-newest]
        for backup in old:
            (backup.folder / RECORD).unlink()
            shutil.rmtree(backup.folder)
        if len(found) > len(old):
            backup_wal.drop_before(self.root, min(found[len(old) :], key=lambda b: b.first_wal[8:]).first_wal)
        return len(old)
