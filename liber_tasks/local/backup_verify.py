"""Whether a backed-up data folder is as PostgreSQL wrote it, by the manifest that came with it.

What `pg_verifybackup` does, whose program in the embedded distribution crashes at its start. The log within is not in
the manifest; a server that cannot read it refuses to start.
Source: PostgreSQL 18 documentation, chapter 70, Backup Manifest Format.
"""

import hashlib
import json
from pathlib import Path

from liber_tasks.errors import LiberError
from liber_tasks.types import Progress, silent


def verify(base: Path, progress: Progress = silent) -> None:
    """Compare every file with its size and SHA-256 digest.

    Args:
        base: the data folder, with `backup_manifest` made with SHA256 checksums.
        progress: told files compared.

    Raises:
        LiberError: a file is missing or another one than it was; names it.
    """
    whole = (base / "backup_manifest").read_bytes()
    # the last line holds the digest of all before it
    *_, last = whole.rstrip(b"\n").splitlines(keepends=True)
    manifest = json.loads(whole)
    _same(
        base / "backup_manifest", hashlib.sha256(whole[: whole.rindex(last)]).hexdigest(), manifest["Manifest-Checksum"]
    )
    files = manifest["Files"]
    for done, entry in enumerate(files, 1):
        path = base / (entry["Path"] if "Path" in entry else bytes.fromhex(entry["Encoded-Path"]).decode())
        try:
            with path.open("rb") as file:
                _same(path, hashlib.file_digest(file, "sha256").hexdigest(), entry["Checksum"])
        except OSError as error:
            raise LiberError(f"The backup is damaged: {path}: {error.strerror}. Use another one.") from None
        progress(done, len(files), "files verified")


def _same(path: Path, found: str, wanted: str) -> None:
    if found != wanted:
        raise LiberError(f"The backup is damaged: {path} is not what it was when the backup was made. Use another one.")
