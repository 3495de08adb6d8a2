"""What each login may do with each table is what docs/security.md says, and nothing else."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from liber_tasks import db, scale
from liber_tasks.config import ROOT
from liber_tasks.local.environment import STAGE_ROLES
from tests.safety.conftest import OWNER, Server

ROLES = (*STAGE_ROLES, "reader")
LETTERS = {"SELECT": "S", "INSERT": "I", "UPDATE": "U", "DELETE": "D", "TRUNCATE": "T", "REFERENCES": "R",
           "TRIGGER": "G", "MAINTAIN": "A"}  # fmt: skip
RELATIONS = text("""
    SELECT c.relname FROM pg_class AS c
    WHERE c.relnamespace = 'liber'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition""")
MAY = text("SELECT has_table_privilege(:role, cast(:relation AS regclass), :privilege)")
MAY_LOCK = text("SELECT has_any_column_privilege(:role, cast(:relation AS regclass), 'UPDATE')")

Rights = dict[str, dict[str, set[str]]]


def documented() -> Rights:
    """Relation -> role -> letters, as the table in docs/security.md has them."""
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", (ROOT / "docs" / "security.md").read_text(encoding="utf-8"), re.M)
    return {name: {role: set(cell.strip()) for role, cell in zip(ROLES, cells.split("|"), strict=True)}
            for name, cells in rows if cells.count("|") == len(ROLES) - 1}  # fmt: skip


def granted(engine: Engine) -> Rights:
    """The same, as the database has it."""
    with engine.connect() as connection:

        def letters(role: str, relation: str) -> set[str]:
            asked = {"role": f"liber_{role}", "relation": f"liber.{relation}"}
            found = {letter for privilege, letter in LETTERS.items()
                     if connection.execute(MAY, {**asked, "privilege": privilege}).scalar_one()}  # fmt: skip
            locks = connection.execute(MAY_LOCK, asked).scalar_one() and "U" not in found
            return found | ({"L"} if locks else set())

        return {relation: {role: letters(role, relation) for role in ROLES}
                for relation in connection.execute(RELATIONS).scalars()}  # fmt: skip


def test_every_table_and_view_is_decided_upon_and_granted_as_documented(server: Server) -> None:
    assert granted(server.engine(OWNER)) == documented()


def test_rights_that_somebody_changed_are_as_documented_again_after_init_db(server: Server) -> None:
    with server.engine(OWNER).begin() as connection:
        connection.execute(text("GRANT ALL ON liber.interest TO liber_reader, liber_ingest"))
        connection.execute(text("GRANT UPDATE (text) ON liber.interest TO liber_trainer"))
        connection.execute(text("REVOKE ALL ON liber.behavior FROM liber_ingest"))
        connection.execute(text("ALTER DEFAULT PRIVILEGES IN SCHEMA liber GRANT SELECT ON TABLES TO liber_reader"))
    assert db.init_db(server.url(OWNER)) == []
    assert granted(server.engine(OWNER)) == documented()
    with server.engine(OWNER).connect() as connection, connection.begin() as transaction:
        connection.execute(text("CREATE TABLE liber.added (a int)"))
        asked = {"role": "liber_reader", "relation": "liber.added", "privilege": "SELECT"}
        assert not connection.execute(MAY, asked).scalar_one()  # a new table is closed until it is decided upon
        transaction.rollback()


def test_hash_partitioned_tables_have_the_same_rights(server: Server) -> None:
    server.cluster.ensure({}, {"spread": OWNER})
    url = server.url(OWNER).replace("/shop?", "/spread?")
    db.init_db(url)
    assert scale.hash_partition(url, 2)
    assert granted(db.engine(url)) == documented()


OF_NOBODY = {
    "drop": "DROP TABLE liber.{table}",
    "truncate": "TRUNCATE liber.{table}",
    "alter": "ALTER TABLE liber.{table} ADD COLUMN added int",
    "trigger off": "ALTER TABLE liber.{table} DISABLE TRIGGER ALL",
    "index": "CREATE INDEX ON liber.{table} ((1))",
    "update a partition": "UPDATE liber.behavior_partition SET created_at = created_at",
    "change a partition": "UPDATE liber.behavior_partition SET last_seq = last_seq",
    "delete a partition": "DELETE FROM liber.behavior_partition",
    "update behaviours": "UPDATE liber.behavior SET rating = 5",
    "delete behaviours": "DELETE FROM liber.behavior",
    "update texts": "UPDATE liber.interest SET text = ''",
    "delete texts": "DELETE FROM liber.interest",
    "update vectors": "UPDATE liber.interest_vector SET vector = vector",
    "erase": "SELECT * FROM liber.erase_rows(1, 'u')",
    "forget an erasure": "DELETE FROM liber.erasure",
    "replace the key": "UPDATE liber.erasure_key SET key = key",
    "table": "CREATE TABLE liber.mine (a int)",
    "public table": "CREATE TABLE public.mine (a int)",
    "schema": "CREATE SCHEMA mine",
    "function": "CREATE FUNCTION liber.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "become the owner": "SET ROLE liber",
    "new role": "CREATE ROLE mine",
    "server's files": "COPY (SELECT 1) TO PROGRAM 'true'",
    "migrations": "DELETE FROM public.schema_migrations",
}
OF_SOME = {
    "ingest": ("SELECT text FROM liber.interest", "SELECT * FROM liber.llm_call", "SELECT * FROM liber.exposure",
               "SELECT * FROM liber.interest_vector", "SELECT * FROM liber.interest_timeline",
               "INSERT INTO liber.erasure (user_digest, removed) VALUES ('', '{}')"),
    "learner": ("INSERT INTO liber.behavior (user_key) VALUES (1)",
                "INSERT INTO liber.behavior_partition DEFAULT VALUES",
                "INSERT INTO liber.user_profile (user_id) VALUES ('x')", "UPDATE liber.item SET title = ''",
                "SELECT * FROM liber.erasure_key", "SELECT * FROM liber.erasure", "SELECT * FROM liber.exposure",
                "SELECT raw FROM liber.rejected_row"),
    "trainer": ("INSERT INTO liber.interest DEFAULT VALUES", "INSERT INTO liber.interest_vector DEFAULT VALUES",
                "INSERT INTO liber.item_knowledge DEFAULT VALUES", "UPDATE liber.item_vector SET vector = vector",
                "INSERT INTO liber.behavior DEFAULT VALUES", "SELECT * FROM liber.llm_call",
                "SELECT * FROM liber.erasure_key", "SELECT * FROM liber.exposure"),
    "experimenter": ("SELECT text FROM liber.interest", "SELECT * FROM liber.item_knowledge",
                     "INSERT INTO liber.behavior DEFAULT VALUES", "UPDATE liber.readout SET result = '{}'",
                     "DELETE FROM liber.readout", "DELETE FROM liber.experiment", "DELETE FROM liber.exposure",
                     "SELECT * FROM liber.erasure_key"),
    "reader": ("SELECT * FROM liber.erasure", "SELECT * FROM liber.erasure_key",
               "INSERT INTO liber.experiment DEFAULT VALUES", "UPDATE liber.llm_call SET state = 'failed'",
               "INSERT INTO liber.exposure DEFAULT VALUES", "UPDATE liber.user_profile SET attributes = '{}'",
               "UPDATE liber.user_stream SET last_seq = 0"),
}  # fmt: skip
ATTEMPTS = [(role, statement.format(table="behavior")) for role in ROLES for statement in OF_NOBODY.values()] + [
    (role, statement) for role, statements in OF_SOME.items() for statement in statements
]


@pytest.mark.parametrize(("role", "statement"), ATTEMPTS, ids=lambda value: value[:60])
def test_what_a_role_must_not_do_is_refused(server: Server, role: str, statement: str) -> None:
    with server.engine(role).connect() as connection, pytest.raises(DBAPIError) as raised:
        connection.execute(text(statement))
    assert getattr(raised.value.orig, "pgcode", None) == "42501", raised.value.orig


def test_the_owner_may_repair_a_sealed_partition(server: Server) -> None:
    with server.engine(OWNER).connect() as connection:
        connection.execute(text("UPDATE liber.behavior_partition SET created_at = created_at"))
        connection.rollback()


def test_a_login_that_was_not_let_in_does_not_even_connect(server: Server) -> None:
    with pytest.raises(OperationalError, match="permission denied for database"):
        db.engine(server.url("stranger")).connect()


def test_everybody_together_has_no_right(server: Server) -> None:
    """PUBLIC: what each login has without being given anything."""

    def of_public(what: str) -> list[Any]:
        with server.engine(OWNER).connect() as connection:
            return list(connection.execute(text(what)).scalars())

    for catalogue, acl in (("pg_class", "relacl"), ("pg_namespace", "nspacl"), ("pg_database", "datacl")):
        mine = {"pg_class": "relnamespace = 'liber'::regnamespace", "pg_namespace": "nspname = 'liber'",
                "pg_database": "datname = current_database()"}[catalogue]  # fmt: skip
        assert of_public(f"SELECT a.privilege_type FROM {catalogue}, aclexplode({acl}) AS a "  # noqa: S608
                         f"WHERE {mine} AND a.grantee = 0") == []  # fmt: skip
    runs = "has_function_privilege('stranger', oid, 'EXECUTE')"
    open_to_all = of_public(f"SELECT proname FROM pg_proc WHERE pronamespace = 'liber'::regnamespace AND {runs}")  # noqa: S608
    assert not {"erase_rows", "erase_statistics", "hash_partition"} & set(open_to_all)


def test_no_role_is_more_than_a_login(server: Server) -> None:
    with server.engine(OWNER).connect() as connection:
        found = connection.execute(text(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE 'liber\\_%' AND (rolsuper OR rolcreaterole OR rolcreatedb "
            "OR rolreplication OR rolbypassrls OR EXISTS (SELECT FROM pg_auth_members AS m WHERE m.member = oid))"
        ))  # fmt: skip
        assert list(found.scalars()) == []


def test_every_dag_logs_in_as_somebody_decided(tmp_path: Path) -> None:
    """A subprocess: Airflow writes into its home when it is imported."""
    show = "import json; from liber_tasks.orchestration import ROLES; print(json.dumps(ROLES))"
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", show], env=environment, capture_output=True, text=True, check=True)
    roles = json.loads(done.stdout.splitlines()[-1])
    assert {name.split(".")[0] for name in roles} == {file.stem for file in (ROOT / "dags").glob("*.py")}
    assert set(roles.values()) == {*STAGE_ROLES, None} - {"observer"}  # whichever task counts
