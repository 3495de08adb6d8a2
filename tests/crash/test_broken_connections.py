"""Promise: wherever a connection breaks, the caller is told so in one sentence, and the same calls again finish."""

import logging
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import psycopg2
import pytest
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.errors import ServiceUnavailable
from tests.concurrency import observed, serial
from tests.concurrency.scene import BASE, LATE, WATERMARK
from tests.concurrency.serial import Act
from tests.partition.oracle import Rule
from tests.partition.streams import partitions


class Record(observed.Watch):
    """Notes the statements."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def before(self, name: str, statement: str, backend: int) -> str:
        self.names.append(name)
        return statement


class Break(observed.Watch):
    """Has the server end the connection right after the statement with that number, from 0."""

    def __init__(self, url: str, number: int) -> None:
        self._url, self._left, self._backend = url, number, 0

    def before(self, name: str, statement: str, backend: int) -> str:
        self._backend = backend
        return statement

    def after(self, name: str) -> None:
        if self._left == 0:
            with closing(psycopg2.connect(self._url)) as connection:
                connection.cursor().execute("SELECT pg_terminate_backend(%s, 5000)", (self._backend,))
        self._left -= 1


def calls(settings: Settings, folder: Path, user: str) -> Sequence[Act]:
    """Two files with an event in common, a request, sealing by it and by count."""
    return [
        serial.load(settings, folder, user, "x", BASE),
        serial.load(settings, folder, user, "y", LATE),
        serial.request(user, "b2", "b3"),
        serial.close(user, Rule(k=5, max_age=50, model=True), WATERMARK),
        serial.close(user, Rule(k=2), WATERMARK),
    ]


def said(engine: Engine, acts: Sequence[Act]) -> str:
    """Make the calls; what the first that fails says."""
    try:
        for act in acts:
            act.call(engine)
    except ServiceUnavailable as error:
        return str(error)
    return ""


def test_a_connection_that_breaks_after_any_statement_is_told_in_a_sentence_and_a_rerun_finishes(
    engine: Engine, database_url: str, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seat = SimpleNamespace(guest=Record())
    observed.observe(engine, seat)
    said(engine, calls(settings, tmp_path, "whole"))
    names = seat.guest.names
    assert {*serial.INGEST_NEW, *serial.REQUEST, *serial.SEAL} <= {*names}
    told = 0
    for number in range(len(names)):
        user = f"u{number}"
        acts = calls(settings, tmp_path, user)
        seat.guest = Break(database_url, number)
        words = said(engine, acts)
        assert words == "" or words.startswith("PostgreSQL cannot do this: ")
        told += bool(words)
        loud = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert loud == []  # without a handler they would go to stderr
        seat.guest = observed.Watch()
        stream = serial.Stream()
        for act in acts:
            act.call(engine)
            act.model(stream)
        assert serial.arrived(engine, user) == stream.arrived
        assert partitions(engine, user)[user] == stream.partitions
    # what was wanted is there already: a break after a commit, or after the list of what is due, hurts nobody
    assert told == len(names) - names.count(observed.COMMIT) - sum(name.startswith("partition/due_") for name in names)
