"""Knowledge files written by hand."""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from liber_tasks.interest.files.knowledge_format import Header

EVERYTHING = "SELECT (SELECT count(*) FROM liber.interest), (SELECT count(*) FROM liber.knowledge_version)"


def written(path: Path, texts: list[Any], /, **header: Any) -> Path:
    """A file of these texts (dictionaries, or lines as they are) whose digests are right."""
    lines = [line if isinstance(line, bytes) else (json.dumps(line) + "\n").encode() for line in texts]
    whole = {"knowledge_version": "kv", "model": "m", "summary_prompt": "s/1", "shift_prompt": "c/1", "parameters": {},
             "recipe": None, "registered": {}, "texts": len(lines),
             "sha256": hashlib.sha256(b"".join(lines)).hexdigest()} | header  # fmt: skip
    path.write_bytes(Header(**whole).line() + b"".join(lines))
    return path


def one(**changes: Any) -> dict[str, Any]:
    """A text of user a's first partition in `add_user`'s database."""
    ids = "".join(f"{len(event)}:{event}" for event in ("a-1", "a-2", "a-3"))
    return {"user_id": "a", "partition_no": 1, "kind": "summary",
            "partition_sha256": hashlib.sha256(ids.encode()).hexdigest(), "text": "likes", "input_sha256": "0" * 64,
            "left_out": 0, "prompt_tokens": 1, "completion_tokens": None, "latency_seconds": 0.25,
            "finish_reason": "stop"} | changes  # fmt: skip


def until(holds: Callable[[], bool]) -> None:
    """Wait for something another process does; fail after a minute."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
