"""The write-ahead log outside the data folder: how the server archives it, reads it back, and which of it is kept.

`BACKUPS/wal` holds a gzipped file a segment. A server that archives writes each finished segment there, at the latest
`ARCHIVE_SECONDS` after its first change: that much is lost where the disk of the data folder is.
Source: PostgreSQL 18 documentation, 25.3 Continuous Archiving and Point-in-Time Recovery.
"""

import re
import shlex
import time
from collections.abc import Iterable
from pathlib import Path

from liber_tasks.local import postgres

ARCHIVE_SECONDS = 60
SEGMENTS_A_FILE = 256  # of 16 MiB: a log file of 4 GiB, PostgreSQL's default
_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})\.gz")
_STALE_SECONDS = 86_400


def prepare(backups: Path | None) -> None:
    """Make the folder of backups and that of the log, open to the server's own user only. None: nothing to do."""
    if backups is None:
        return
    for folder in (backups, backups / "wal"):
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True)
            postgres.hand_over(folder)


def archiving(backups: Path | None) -> tuple[str, ...]:
    """Settings of a server that archives into the folder; none without a folder.

    A segment that is there already must have the same content: a repeated call succeeds, another server's fails, and
    nothing is ever overwritten. It gets its name once it is whole and on disk. The part of a segment that a timeline
    ends with (`.partial`) is of no use and would differ between two restores.
    """
    if backups is None:
        return ()
    folder = _word(backups.resolve() / "wal")
    archive = f'gzip -1nc %p > "$f.$$" && sync "$f.$$" && mv -n "$f.$$" "$f" && sync {folder}'
    command = (
        f'case %f in *.partial) exit 0 ;; esac; f={folder}/%f.gz; [ -e "$f" ] || {{ {archive}; }}'
        ' && gzip -dc "$f" | cmp -s - %p'
    )
    return ("archive_mode=on", f"archive_timeout={ARCHIVE_SECONDS}", f"archive_command={command}")


def reading(backups: Path, data: Path | None) -> tuple[str, ...]:
    """Settings of a server that replays the archive, then what a data folder still has that was not archived.

    Args:
        backups: the folder.
        data: data folder of the stopped server; None: it is lost.
    """
    archived = f"gzip -dc {_word(backups.resolve() / 'wal')}/%f.gz > %p 2> /dev/null"
    command = f"{archived} || cp {_word(data.resolve() / 'pg_wal')}/%f %p 2> /dev/null" if data else archived
    # nobody gets in before the end is reached
    return (f"restore_command={command}", "recovery_target_timeline=current", "hot_standby=off")


def missing(names: Iterable[str], first: str) -> str | None:
    """The first segment that is not there though a later one of its timeline is: the log ends before it.

    Args:
        names: files of the archive.
        first: segment that a backup starts with.
    """
    timeline, at = first[:8], _number(first)
    there = {_number(name[:24]) for name in names if _SEGMENT.fullmatch(name) and name.startswith(timeline)}
    last = max(there, default=at)
    for number in range(at, last):
        if number not in there:
            return f"{timeline}{number // SEGMENTS_A_FILE:08X}{number % SEGMENTS_A_FILE:08X}"
    return None


def drop_before(backups: Path, first: str) -> None:
    """Delete segments that no kept backup needs, and what a killed archiver left half-written.

    Args:
        backups: the folder.
        first: segment that the oldest kept backup starts with.
    """
    folder = backups / "wal"
    postgres.run("pg_archivecleanup", "-x", ".gz", str(folder), first)
    for part in folder.glob("*.gz.*"):
        if time.time() - part.stat().st_mtime > _STALE_SECONDS:
            part.unlink(missing_ok=True)


def _number(segment: str) -> int:
    return int(segment[8:16], 16) * SEGMENTS_A_FILE + int(segment[16:24], 16)


def _word(path: Path) -> str:
    """A path as a word of the server's commands."""
    return shlex.quote(str(path)).replace("%", "%%")
