"""Statements seen in the driver: tests hold, count or change what the product sends, without touching the product."""

from typing import Any

import psycopg2.extensions
from sqlalchemy import Engine, create_engine, event, make_url

from liber_tasks.db import SQL

COMMIT = "commit"


def _beginning(statement: str) -> str:
    """First line, a comment, and the two words after it: no two statements share them."""
    first, _, rest = statement.partition("\n")
    return " ".join([first.replace("%%", "%"), *rest.split(None, 2)[:2]])


_FILES = sorted((SQL / "queries").glob("*/*.sql"))
_NAMED = {_beginning(path.read_text(encoding="utf-8")): f"{path.parent.name}/{path.stem}" for path in _FILES}
NAMES = {COMMIT, *_NAMED.values()}


class Watch:
    """Told of every named statement and of every commit that has one; the base lets all pass."""

    def before(self, name: str, statement: str, backend: int) -> str:
        """What is to be sent in place of `statement`, by the connection with that process id."""
        return statement

    def after(self, name: str) -> None:
        """The statement is done."""


class Seat:
    """An engine on a database that tells its guest of the moment. Its connections are kept: tests open thousands.

    Attributes:
        engine: for the product.
        guest: who is told, and may hold or change a statement.
    """

    def __init__(self, url: str, **settings: str) -> None:
        """Server settings hold for its sessions."""
        self.guest = Watch()
        arguments: dict[str, Any] = {"connection_factory": connections(self), "connect_timeout": 10}
        arguments["options"] = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self.engine = create_engine(make_url(url).set(drivername="postgresql+psycopg2"), connect_args=arguments)


def observe(engine: Engine, seat: Any) -> Engine:
    """Have every connection that an engine of the product makes ask `seat.guest`; returns the engine."""

    @event.listens_for(engine, "do_connect")
    def _(dialect: Any, record: Any, arguments: Any, keywords: dict[str, Any]) -> None:
        keywords["connection_factory"] = connections(seat)

    return engine


def connections(seat: Any) -> type[psycopg2.extensions.connection]:
    """A class of connections that ask `seat.guest` before and after each statement."""

    class Cursor(psycopg2.extensions.cursor):
        def execute(self, query: Any, vars: Any = None) -> None:
            name = _name(query)
            if name is None:
                super().execute(query, vars)
                return
            self.connection.named = True
            super().execute(seat.guest.before(name, query, self.connection.get_backend_pid()), vars)
            seat.guest.after(name)

        def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
            name = _name(sql) or "copy"
            self.connection.named = True
            super().copy_expert(seat.guest.before(name, sql, self.connection.get_backend_pid()), file, size)
            seat.guest.after(name)

    class Connection(psycopg2.extensions.connection):
        named = False

        def cursor(self, *args: Any, **keywords: Any) -> Any:
            return super().cursor(*args, **{"cursor_factory": Cursor, **keywords})

        def commit(self) -> None:
            if self.named:
                seat.guest.before(COMMIT, COMMIT, self.get_backend_pid())
            super().commit()
            if self.named:
                seat.guest.after(COMMIT)
            self.named = False

    return Connection


def _name(statement: Any) -> str | None:
    return _NAMED.get(_beginning(statement)) if isinstance(statement, str) else None
