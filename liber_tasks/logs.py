"""Log lines that say which run, shard and partitions they are about.

A stage binds what it works on (`bound`); every line logged meanwhile, here, in threads and in coroutines started
meanwhile, carries it. The names: run, task, stage, shard, kind, knowledge_version, encoder_version, experiment; and
file_id, user_key, partition_no, item_key and their ranges (first_, last_), which are the database's own numbers. Never
what a person could be known by: user ids, texts, URLs with passwords.

The command line writes them by `configure`; inside Airflow its own logs carry them, which read the same context.
"""

import logging
import secrets
import sys
import time
from collections.abc import Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

import structlog

_log = logging.getLogger("liber.stage")
_KEYS = ("timestamp", "level", "logger", "event")


def bound(**context: Any) -> AbstractContextManager[None]:
    """Let every line carry this while the block runs; None: not known."""
    return structlog.contextvars.bound_contextvars(
        **{name: value for name, value in context.items() if value is not None}
    )


def bind(**context: Any) -> None:
    """Let every line carry this until the process ends."""
    structlog.contextvars.bind_contextvars(**context)


@contextmanager
def stage(name: str, **context: Any) -> Iterator[None]:
    """A stage's work: its context is bound, its begin and its end are logged, an error by its type alone (its sentence
    is whoever's who prints it, and may name what the command was given)."""
    begun = time.monotonic()
    with bound(stage=name, **context):
        _log.info("begins")
        try:
            yield
        except BaseException as error:
            _log.info("ends with %s after %.1f s", type(error).__name__, time.monotonic() - begun)
            raise
        _log.info("done in %.1f s", time.monotonic() - begun)


def new_run() -> str:
    """A name for a run that has none."""
    return f"cli-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def tell(sentence: str) -> None:
    """An error's sentence on stderr, as a line of its own or as a log line."""
    if is_json():
        logging.getLogger("liber").error("%s", sentence)
    else:
        print(f"liber: {sentence}", file=sys.stderr)


def is_json() -> bool:
    """Whether this process writes its log as JSON."""
    return any(isinstance(one.formatter, structlog.stdlib.ProcessorFormatter) for one in logging.getLogger().handlers)


def configure(form: Literal["text", "json"]) -> None:
    """Send this process's log lines to stderr: our own from INFO on, others' warnings.

    Args:
        form: "json": one object a line, with `timestamp` (ISO 8601, UTC), `level`, `logger`, `event` and what is bound;
            "text": the sentence alone, for a person who sees which command is running.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json() if form == "json" else logging.Formatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    ours = logging.INFO if form == "json" else logging.WARNING
    told_otherwise = logging.INFO if form == "json" else logging.CRITICAL  # by the report, and the error's own sentence
    for name in ("liber", "liber_tasks"):
        logging.getLogger(name).setLevel(ours)
    for name in ("liber.stage", "liber.learn"):
        logging.getLogger(name).setLevel(told_otherwise)
    logging.getLogger("urllib3").setLevel(logging.WARNING if form == "json" else logging.ERROR)  # that it tries again


def _json() -> logging.Formatter:
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _in_order,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )


def _in_order(logger: Any, method: str, line: MutableMapping[str, Any]) -> dict[str, Any]:
    return {name: line.pop(name) for name in _KEYS if name in line} | dict(line)
