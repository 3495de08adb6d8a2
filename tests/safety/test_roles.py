"""Each login is enough for the whole of its stage: every stage runs for real, one after the other, with its own."""

import io
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg2
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from liber_tasks import db
from liber_tasks.behavior.erase import erase, readmit
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.encoder.items import encode_items
from liber_tasks.encoder.nearest import nearest_users
from liber_tasks.encoder.store import encode
from liber_tasks.experiment.calibration import calibrate_experiment
from liber_tasks.experiment.define import define
from liber_tasks.experiment.exposure import log_exposures
from liber_tasks.experiment.history import power
from liber_tasks.experiment.life import archive, ramp, standings, stop
from liber_tasks.experiment.readout import readout
from liber_tasks.experiment.simulate import simulate
from liber_tasks.explain import explain
from liber_tasks.interest.account import cost_of_runs
from liber_tasks.interest.items import learn_items
from liber_tasks.interest.learn import learn
from liber_tasks.interest.timeline import timeline
from liber_tasks.partition.cuts import Cut, request_cuts
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from liber_tasks.status import status
from liber_tasks.training.load import load
from tests.behavior.files import behavior, write_jsonl
from tests.experiment.defining import definition
from tests.interest.faults import GOOD, faulty
from tests.safety.conftest import OWNER, Server

USERS, ITEMS, EVENTS, K = 12, 12, 20, 5
START = datetime(2026, 2, 1, tzinfo=UTC)
END = datetime(2100, 1, 1, tzinfo=UTC)
FOLDERS = {"ingest": ("behavior", "partition", "announce"), "learner": ("items", "encoder", "interest", "announce"),
           "trainer": ("training", "evaluation", "serving"), "experimenter": ("experiment",),
           "reader": ("dashboard", "explain", "serving", "efficiency", ".")}  # fmt: skip
OF_THE_READER = {"timeline", "timeline_items", "timeline_versions", "cost_of_runs", "cost_of_users"}
OF_OTHERS = {"nearest_index_create", "nearest_index_drop", "act_as_reader"}  # the owner; who is a member of the reader
OF_THE_LEARNER = {"vectors", "item_vectors"}  # of the folder that announces


@dataclass(frozen=True)
class Shop:
    """The database, with settings for its stages and a folder for files."""

    server: Server
    settings: Settings
    folder: Path

    def engine(self, role: str) -> Engine:
        return self.server.engine(role)

    def events(self, first: int, last: int) -> list[dict[str, object]]:
        """Ratings and some plays of every user, the first-th to the last-th."""
        dice = np.random.default_rng(first)
        return [
            behavior(event_id=f"{user}/{n}", user_id=f"u{user}", item_id=f"i{dice.integers(ITEMS)}",
                     event_time=(START + timedelta(hours=user, minutes=n)).isoformat(),
                     **({"kind": "play", "play_seconds": 30.0 * user} if n % (3 + user % 4) == 0 else
                        {"kind": "rating", "rating": float(dice.integers(1, 6)), "play_seconds": None}))
            for user in range(USERS) for n in range(first, last)
        ]  # fmt: skip

    def ingest(self, name: str, rows: list[object], kind: str = "behaviors"):  # type: ignore[no-untyped-def]
        file = write_jsonl(self.folder / f"{name}.jsonl", rows)  # type: ignore[arg-type]
        return ingest(self.engine("ingest"), self.settings, [file], kind=kind)


@pytest.fixture(scope="module")
def shop(server: Server, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    settings = Settings(_env_file=None, database_url=SecretStr(server.url("nobody")), encoder=str(tiny_bert),
                        encoder_dimension=4, max_rejected_share=1.0,
                        learn_max_users=None, learn_max_items=None)  # fmt: skip
    return Shop(server, settings, tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def ingested(shop: Shop) -> Shop:
    """Users and items twice (their past is kept), behaviours with a bad row, partitions by count and by gap."""
    for age in (30, 31):
        shop.ingest(f"users{age}", [{"user_id": f"u{user}", "age": age} for user in range(USERS)], "users")
        items = [
            {"item_id": f"i{item}", "title": f"Item {item}", "genres": ["Drama"], "cut": age} for item in range(ITEMS)
        ]
        shop.ingest(f"items{age}", items, "items")
    report = shop.ingest("behaviors", [*shop.events(0, EVENTS), '{"event_id": '])
    assert (report.accepted, report.rejected) == (USERS * EVENTS, 1)
    rule = PartitionRule(K)
    assert seal(shop.engine("ingest"), rule, END).partitions == USERS * EVENTS // K
    assert shop.ingest("more", shop.events(EVENTS, EVENTS + 3)).accepted == USERS * 3
    asked = request_cuts(shop.engine("ingest"), [Cut("u1", f"1/{EVENTS}", f"1/{EVENTS}")], "by hand")
    assert asked.requested == 1
    assert seal(shop.engine("ingest"), PartitionRule(None, gap=timedelta(days=1), model="requested"), END).partitions
    return shop


@pytest.fixture(scope="module")
def learnt(ingested: Shop) -> Shop:
    """Texts about partitions and items, and their vectors."""
    with faulty(lambda *_: GOOD) as llm:
        asking = ingested.settings.model_copy(update={"llm_url": llm.url})
        done = learn(ingested.engine("learner"), asking)
        assert done.calls
        assert done.pending_summaries == done.pending_shifts == done.failed == 0
        other = asking.model_copy(update={"shift_max_tokens": 33})  # its summaries are adopted
        assert learn(ingested.engine("learner"), other).adopted
        assert learn_items(ingested.engine("learner"), asking).pending == 0
    assert encode(ingested.engine("learner"), _with_version(asking)).encoded
    assert encode_items(ingested.engine("learner"), ingested.settings).encoded
    return ingested


def _with_version(settings: Settings) -> Settings:
    from liber_tasks.learning import with_version

    return with_version(settings)


def test_ingest_loads_and_seals_and_refuses_the_erased(learnt: Shop) -> None:
    erase(learnt.engine(OWNER), "u0")
    report = learnt.ingest("late", [behavior(1, user_id="u0", item_id="i1"), behavior(2, user_id="u0", kind="sneeze")])
    assert (report.accepted, report.refused, report.rejected) == (0, 1, 1)
    readmit(learnt.engine(OWNER), "u0")


def test_ingest_lets_our_model_cut(learnt: Shop) -> None:
    assert learnt.ingest("newest", learnt.events(EVENTS + 3, EVENTS + 6)).accepted == USERS * 3
    seal(learnt.engine("ingest"), PartitionRule(None, model="drift"), END)


def test_a_learner_learns_and_encodes(learnt: Shop) -> None:
    with learnt.engine("learner").connect() as connection:
        kinds = connection.execute(text("SELECT kind::text, count(*) FROM liber.interest GROUP BY 1")).all()
    assert {kind for kind, _ in kinds} == {"summary", "shift"}


def test_a_trainer_reads_all_that_models_are_made_of(learnt: Shop) -> None:
    options = ("pooled", "dense_profile", "lexical_profile", "affinity")
    dataset = load(learnt.engine("trainer"), _with_version(learnt.settings), options)
    assert len(dataset.item_ids) == ITEMS


def test_an_experimenter_plans_runs_and_reads_an_experiment(learnt: Shop) -> None:
    engine, day = learnt.engine("experimenter"), timedelta(days=1)
    planned = definition(starts_at=START, ends_at=START + 7 * day, pre_days=1)
    assert define(engine, planned, now=START - day).created
    power(engine, planned.plan, planned.assignment, day, until=START + day)
    assert log_exposures(engine, "ranking", [(f"u{user}", START) for user in range(USERS)]).added
    assert ramp(engine, "ranking", 1.0, now=START + day)
    last = behavior(900, user_id="u1", item_id="i1", event_time=(START + 5 * day).isoformat())
    learnt.ingest("last", [last])
    readout(engine, "ranking", watermark=START + 3 * day)
    stop(engine, "ranking", now=START + 4 * day)
    archive(engine, "ranking", now=START + 5 * day)
    simulate(engine, users=3_000)
    assert readout(engine, "liber-memory-simulated").simulated
    calibrate_experiment(engine, "liber-memory-simulated", splits=1_000)
    assert standings(engine, archived=True)


def test_a_reader_reads_what_people_and_services_look_at(learnt: Shop) -> None:
    engine, settings = learnt.engine("reader"), _with_version(learnt.settings)
    assert [stage.stage for stage in status(engine)]
    assert timeline(engine, "u1")
    assert cost_of_runs(engine, 5)
    assert explain(engine, settings, "u1", "i1")
    with engine.connect() as connection:
        versions = connection.execute(
            text("SELECT encoder_version, knowledge_version FROM liber.interest_vector")
        ).all()
    assert nearest_users(engine, "u1", *versions[0]).neighbours


@pytest.mark.parametrize("role", FOLDERS)
def test_no_statement_of_a_stage_lacks_a_right(learnt: Shop, role: str) -> None:
    """Also those that no run above comes to: PostgreSQL checks the rights of a statement when it explains it."""
    refused, looked_at = {}, 0
    with learnt.engine(role).connect() as connection:
        cursor = connection.connection.cursor()
        for file in statements(role):
            cursor.execute("SAVEPOINT before")
            try:
                looked_at += permitted(cursor, file.read_text(encoding="utf-8"))
            except psycopg2.errors.InsufficientPrivilege as error:
                refused[file.stem] = str(error)
            except psycopg2.Error:  # parameters that are no values, such as names
                pass
            else:
                cursor.execute("RELEASE before")
                continue
            cursor.execute("ROLLBACK TO before")
    assert refused == {}
    assert looked_at >= 0.8 * len(statements(role))


def statements(role: str) -> list[Path]:
    """Files of the role's statements, those first that make temporary tables."""
    others = OF_OTHERS | OF_THE_READER | (OF_THE_LEARNER if role == "ingest" else set())
    found = [file for folder in FOLDERS[role] for file in sorted((db.SQL / "queries" / folder).glob("*.sql"))
             if file.stem not in others]  # fmt: skip
    if role == "reader":
        found += [db.SQL / "queries" / "interest" / f"{name}.sql" for name in sorted(OF_THE_READER)]
    return sorted(found, key=lambda file: "CREATE TEMP" not in file.read_text(encoding="utf-8"))


def permitted(cursor: "psycopg2.extensions.cursor", statement: str) -> bool:
    """Have PostgreSQL check a statement's rights, every parameter null. Raises what it says."""
    plain = re.sub(r"--.*", "", statement).strip().rstrip(";")
    plain = re.sub(r"(?<![:\\])(?<!\[):(\w+)", "NULL", plain.replace("\\:", ":"))
    if copied := re.fullmatch(r"COPY \((.*)\)\s*TO STDOUT.*", plain, re.S):
        plain = copied[1]
    if re.match(r"COPY .* FROM STDIN", plain, re.S):
        cursor.copy_expert(plain, io.BytesIO(b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\xff\xff"))
    elif re.match(r"SELECT|INSERT|UPDATE|DELETE|WITH|\(", plain):
        cursor.execute("EXPLAIN " + plain)
    else:
        cursor.execute(plain)
    return True
