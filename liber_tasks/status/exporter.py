"""Prometheus metrics of the pipeline: what was counted last, so that a scrape costs one row.

Where nobody else counts, this process does, beside the scrapes and with the role it has; a role that may only read
keeps the result in memory. Names: docs/runbook.md.
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from liber_tasks import db
from liber_tasks.config import Settings
from liber_tasks.dashboard.access import is_loopback
from liber_tasks.errors import InputError, LiberError
from liber_tasks.status import stored
from liber_tasks.status.families import families, own
from liber_tasks.status.state import State

_log = logging.getLogger("liber.metrics")
TICK = 5.0  # seconds between two looks whether to count


class Pipeline(Collector):
    """The newest state: what was stored, or what this process counted, if that is newer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = reader(settings)
        self._newest: State | None = None

    def collect(self) -> Iterator[Metric]:
        """Metrics at this moment; a database that is away gives `liber_database_up` 0 and what was known before."""
        up = self._tried(self._look)
        yield from own(self._settings, up)
        if self._newest is not None:
            yield from families(self._newest, self._settings, datetime.now(UTC))

    def count_if_due(self) -> None:
        """Count, and store if this role may, unless somebody did so lately."""
        self._look()
        if stored.is_due(self._newest, self._settings.status_interval):
            self._newest = stored.refresh(self._engine, self._settings)

    def watch(self, over: threading.Event) -> None:
        """Count at intervals until `over`; what goes wrong is logged and tried again."""
        while True:
            self._tried(self.count_if_due)
            if over.wait(TICK):
                return

    def _look(self) -> None:
        found = stored.stored(self._engine)
        if found and (self._newest is None or found.counted_at > self._newest.counted_at):
            self._newest = found

    def _tried(self, action: Callable[[], None]) -> bool:
        try:
            with db.database_errors():
                action()
        except LiberError as error:
            _log.warning("%s", error)
        except DBAPIError as error:  # such as a role without rights
            _log.warning("The database refuses: %s", str(error.orig).strip().splitlines()[0])
        else:
            return True
        return False


def exposition(settings: Settings) -> str:
    """The metrics as text, counted first if nobody did lately.

    Raises:
        ServiceUnavailable: the database is away.
    """
    pipeline = Pipeline(settings)
    with db.database_errors():
        pipeline.count_if_due()
    return generate_latest(_registry(pipeline)).decode()


def serve(settings: Settings, ready: Callable[[str], None] = lambda _: None) -> None:
    """Listen until SIGTERM or Ctrl-C.

    Args:
        settings: `metrics_address`, `metrics_port` (0: a free one), `metrics_cert` ..., a database URL.
        ready: told where, once it listens.

    Raises:
        InputError: nobody can listen at this address and port.
    """
    pipeline, over = Pipeline(settings), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    address, port = settings.metrics_address, settings.metrics_port
    try:
        server, thread = start_http_server(port, address, _registry(pipeline), **_tls(settings))
    except OSError as error:
        raise InputError(
            f"Metrics cannot be served at {address}:{port} ({error.strerror or error}): set LIBER_METRICS_ADDRESS and "
            "LIBER_METRICS_PORT, and check LIBER_METRICS_CERT, _KEY and _CLIENT_CA."
        ) from None
    ready(f"http{'s' if settings.metrics_cert else ''}://{address}:{server.server_port}/metrics")
    pipeline.watch(over)
    server.shutdown()
    thread.join()


def _tls(settings: Settings) -> dict[str, Any]:
    """How connections are secured; off the loopback interface only clients with a certificate, unless told otherwise.

    Raises:
        InputError: strangers could read; or half of a certificate is set.
    """
    cert, key, authority = settings.metrics_cert, settings.metrics_key, settings.metrics_client_ca
    if (cert is None) != (key is None) or (authority and cert is None):
        raise InputError("Set LIBER_METRICS_CERT and LIBER_METRICS_KEY both; LIBER_METRICS_CLIENT_CA needs them.")
    if not (is_loopback(settings.metrics_address) or authority or settings.metrics_open):
        raise InputError(
            f"LIBER_METRICS_ADDRESS is {settings.metrics_address}: other machines could read the metrics. Set "
            "LIBER_METRICS_CERT, _KEY and _CLIENT_CA, so that only clients with a certificate of that authority may, "
            "or LIBER_METRICS_OPEN=true if the network lets nobody else in."
        )
    if cert is None:
        return {}
    return {"certfile": str(cert), "keyfile": str(key), "client_cafile": str(authority) if authority else None,
            "client_auth_required": authority is not None}  # fmt: skip


def reader(settings: Settings) -> Engine:
    """The database with the role that may only read, where one is set."""
    name = "database_url" if settings.reader_database_url is None else "reader_database_url"
    return db.engine(settings.require(name))


def _registry(pipeline: Pipeline) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(pipeline)
    return registry
