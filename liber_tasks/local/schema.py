"""The database schema as one file: `python -m liber_tasks.local.schema` writes sql/schema.sql from the migrations.

To read, and to review what a migration does to the whole. Functions and views are not in it: their only home is
sql/functions, and `liber init-db` makes them anew each time. The numbers of the migrations are in it, so that a
database made by this file goes on with the next migration.
"""

import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from liber_tasks import db
from liber_tasks.errors import LiberError
from liber_tasks.local import postgres

FILE = db.SQL / "schema.sql"
_HEADER = """\
-- The sum of sql/migrations, written by `make schema`: read it, never edit it. Functions and views: sql/functions.

SET check_function_bodies = false;
SELECT pg_catalog.set_config('search_path', '', false);

"""
_VERSIONS = "INSERT INTO public.schema_migrations (version) VALUES\n    "
# What a dump says about itself and the server rather than about the schema; `\\restrict` carries a random token.
_NOISE = (
    r"^\\(?:un)?restrict .*\n",
    r"^-- Dumped (?:from|by) .*\n",
    r"^--\n-- (?:Name: |PostgreSQL database dump).*\n--\n",
    r"^SET (?:default_tablespace|default_table_access_method|[a-z_]*timeout|client_encoding|xmloption|row_security"
    r"|standard_conforming_strings|client_min_messages|check_function_bodies|transaction_timeout) = .*;\n",
    r"^SELECT pg_catalog\.set_config\('search_path', '', false\);\n",
    r"^COMMENT ON EXTENSION .*;\n",
)


def dump(url: str) -> str:
    """Schema of a database, and the migrations applied to it, in a form that only they decide.

    Args:
        url: a database made by the migrations or by the schema file, without functions and views.

    Raises:
        LiberError: pg_dump failed.
    """
    plain = _pg_dump(url, "--schema-only", "--no-owner", "--no-privileges")
    rows = _pg_dump(url, "--data-only", "--table=public.schema_migrations", "--inserts")
    versions = sorted(re.findall(r"INSERT INTO public\.schema_migrations VALUES \('(\w+)'\)", rows))
    applied = _VERSIONS + ",\n    ".join(f"('{version}')" for version in versions) + ";\n"
    return _HEADER + normalised(plain) + "\n" + applied


def normalised(text: str) -> str:
    """A plain dump without what differs between servers, versions of pg_dump and runs; one empty line at most."""
    for pattern in _NOISE:
        text = re.sub(pattern, "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _pg_dump(url: str, *options: str) -> str:
    done = subprocess.run(
        [postgres.BIN / "pg_dump", *options, f"--dbname={url}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LiberError(f"pg_dump failed: {done.stderr.strip()}")
    return done.stdout


def main() -> int:
    """Migrate an empty database on a server of its own and write the file."""
    folder = Path(tempfile.mkdtemp(prefix="liber-schema-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = postgres.Cluster(folder / "data", port, secrets.token_urlsafe(12), ("fsync=off",))
    server.prepare()
    child = server.spawn()
    try:
        server.ensure({}, {"liber": "postgres"})
        db.migrate(server.url("liber"))
        FILE.write_text(dump(server.url("liber")), encoding="utf-8")
    finally:
        postgres.stop(child)
        shutil.rmtree(folder, ignore_errors=True)
    print(f"Wrote {FILE}.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
