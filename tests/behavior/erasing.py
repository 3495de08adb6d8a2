"""A database in which users have something in every table, and a search of all of it."""

import base64
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.encoder.store import encode
from liber_tasks.experiment.metrics import materialise
from liber_tasks.interest.learn import learn
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests.behavior import state
from tests.behavior.files import behavior, write_csv, write_jsonl
from tests.interest.faults import GOOD, faulty

END = datetime(2100, 1, 1, tzinfo=UTC)
_BY_HAND = """
INSERT INTO liber.partition_cut (user_key, decided_seq, last_seq, model)
SELECT user_key, 5, 5, 'm' FROM liber.user_profile;
INSERT INTO liber.experiment (name, hypothesis, salt, control_share, treatment_share, starts_at, ends_at)
VALUES ('e', '', '', 0.5, 0.5, '2024-05-01Z', '2024-05-08Z');
INSERT INTO liber.exposure SELECT 1, user_id, 'control', '2024-05-01Z' FROM liber.user_profile;
INSERT INTO liber.user_custom_day SELECT 1, user_id, '2024-05-01', 'clicks', 1 FROM liber.user_profile;
INSERT INTO liber.simulated_play SELECT 1, user_id, '2024-05-01', 1, 1 FROM liber.user_profile;
"""


def fill(engine: Engine, settings: Settings, folder: Path, users: Sequence[str]) -> None:
    """Every stage once, for all users; what has no stage yet is written by hand."""
    settings = settings.model_copy(update={"max_rejected_share": 1.0, "encoder_dimension": 4})
    for age in (30, 31):  # the second profile keeps the first one's state
        rows = [{"user_id": user, "age": age, "note": f"likes {n}"} for n, user in enumerate(users)]
        ingest(engine, settings, [write_jsonl(folder / f"users{age}.jsonl", rows)], kind="users")
    for n, user in enumerate(users):
        good = [behavior(m, event_id=f"{n}/{m}", user_id=user, context={"of": user}) for m in range(7)]
        rows = [*good, *rejected(user)]
        ingest(engine, settings, [write_jsonl(folder / f"of-{n}.jsonl", rows)])
        table = [behavior(8, event_id="c", user_id=user, kind="x"), behavior(9, event_id="d", user_id=user)]
        ingest(engine, settings, [write_csv(folder / f"of-{n}.csv", table)])
    seal(engine, PartitionRule(3), END)
    with faulty(lambda *_: GOOD) as llm:
        learn(engine, settings.model_copy(update={"llm_url": llm.url}))
    encode(engine, settings)
    with engine.begin() as connection:
        connection.connection.cursor().execute(_BY_HAND)
    materialise(engine, "e", END)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def rejected(user: str) -> list[Any]:
    """Rows of a user that no check lets through, the id written in several ways."""
    cut = '{"user_id": "x", "note": "' + "." * 5000
    escaped = json.dumps(user)
    return [
        behavior(101, user_id=user, kind="sneeze"),
        json.dumps(behavior(102, user_id=user, kind="sneeze"), ensure_ascii=False),
        f'{{"user_id": {escaped}, "event_id": ',
        cut[: 2000 - len(escaped) // 2] + escaped + "." * 50,
        json.dumps({"nested": json.dumps({"user_id": user})}),
    ]


def tables_of_users(engine: Engine) -> list[tuple[str, str]]:
    """Tables of the schema that name a user, and the column by which they do."""
    return [tuple(row) for row in state.rows(engine, """
        SELECT table_name, max(column_name::text) FROM information_schema.columns
        JOIN information_schema.tables USING (table_schema, table_name)
        WHERE table_schema = 'liber' AND table_type = 'BASE TABLE' AND column_name IN ('user_key', 'user_id')
        GROUP BY 1 ORDER BY 1""")]  # fmt: skip


def of_others(engine: Engine, user: str, user_key: int | None) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of everybody else, and rows of nobody, as the database holds them."""
    found = {
        table: state.rows(engine, f"SELECT t::text FROM liber.{table} t WHERE {column} IS DISTINCT FROM :of ORDER BY 1",  # noqa: S608
                          of=user_key if column == "user_key" else user)
        for table, column in tables_of_users(engine)
    }  # fmt: skip
    for table in ("item", "item_past", "encoder", "knowledge_version", "experiment"):
        found[table] = state.rows(engine, f"SELECT t::text FROM liber.{table} t ORDER BY 1")  # noqa: S608
    return found


def forms(user: str) -> set[str]:
    """An id as it may be written: plain, escaped as in JSON, CSV and arrays, in hexadecimal and base64."""
    raw = user.encode()
    plain = {user, *(json.dumps(user, ensure_ascii=flag)[1:-1] for flag in (True, False))}
    plain |= {form.replace('"', '""') for form in plain} | {json.dumps(form)[1:-1] for form in plain}
    return plain | {raw.hex(), base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode()}


def places(engine: Engine, user: str) -> list[str]:
    """Columns of any table of any schema in which an id is found in any form, and those whose statistics hold it."""
    tables = state.rows(engine, """
        SELECT n.nspname || '.' || quote_ident(c.relname), array_agg(quote_ident(a.attname))
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relkind IN ('r', 'p', 'm') AND a.attnum > 0 AND NOT a.attisdropped
        AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
        GROUP BY 1""")  # fmt: skip
    tables.append(("(SELECT * FROM pg_stats WHERE schemaname NOT IN ('pg_catalog', 'information_schema')) AS pg_stats",
                   ["most_common_vals", "most_common_elems", "histogram_bounds"]))  # fmt: skip
    searches = [
        f"SELECT '{table.split(' ')[-1]}.{column}' FROM {table}"  # noqa: S608
        f" HAVING bool_or({column}::text LIKE ANY (cast(:forms AS text[])))"
        for table, columns in tables
        for column in columns
    ]
    likes = [re.sub(r"([\\%_])", r"\\\1", form).join("%%") for form in forms(user)]
    return sorted(name for (name,) in state.rows(engine, " UNION ALL ".join(searches), forms=likes))
