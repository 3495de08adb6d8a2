"""A database with an owner of its own and the roles of infra/, in a cluster where nobody else is."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import psycopg2
import pytest
from psycopg2 import sql
from sqlalchemy import Engine

from liber_tasks import db
from liber_tasks.config import ROOT
from liber_tasks.local import postgres
from tests.conftest import LIBER_ROLES, free_port
from tests.encoder.conftest import tiny_bert  # noqa: F401

OWNER, DATABASE = "liber", "shop"


@dataclass(frozen=True)
class Server:
    """A cluster; every login has the same password."""

    cluster: postgres.Cluster

    def url(self, role: str) -> str:
        return self.cluster.url(DATABASE, role)

    def engine(self, role: str) -> Engine:
        """Engine of `ingest`, `learner`, ..., or of the owner."""
        return db.engine(self.url(role if role == OWNER else f"liber_{role}"))

    def administer(self, statement: str | sql.Composed, database: str = DATABASE) -> None:
        """Run statements as the server's administrator."""
        with closing(psycopg2.connect(self.cluster.url(database))) as connection:
            connection.autocommit = True
            connection.cursor().execute(statement)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """As docs/security.md has it for an external server: the owner, its database, infra/create_roles.sql, init-db."""
    folder = tmp_path_factory.mktemp("safety")
    found = Server(postgres.Cluster(folder / "data", free_port(), secrets.token_urlsafe(12), ("fsync=off",)))
    found.cluster.prepare()
    child = found.cluster.spawn()
    try:
        found.cluster.ensure({OWNER: found.cluster.password, "stranger": found.cluster.password}, {DATABASE: OWNER})
        db.init_db(found.url(OWNER))  # before there are roles
        for _ in range(2):
            found.administer((ROOT / "infra" / "create_roles.sql").read_text(encoding="utf-8"))
        for role in LIBER_ROLES:
            found.administer(sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                sql.Identifier(role), sql.Literal(found.cluster.password)))  # fmt: skip
        db.init_db(found.url(OWNER))
        yield found
    finally:
        postgres.stop(child)
        shutil.rmtree(folder, ignore_errors=True)
