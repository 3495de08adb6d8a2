"""Promises of erasure: nothing of the user is left anywhere, nobody else loses anything, nothing comes back."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from liber_tasks import db
from liber_tasks.behavior.erase import erase, readmit
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import ROOT, Settings
from liber_tasks.errors import InputError
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests.behavior import state
from tests.behavior.erasing import END, fill, of_others, places, rejected, tables_of_users
from tests.behavior.files import behavior, write_csv, write_jsonl

LONG = "a-very-long-id/" * 30
USERS = [
    "maria-1777",
    "maria-17775",
    'O"Brien\\x1',
    "Zoë Ångström",
    "100%_x'; --",
    "用户🎬77",
    "tab\there9",
    LONG,
    "bystander",
]
FILES = "SELECT rows_read, accepted, duplicates, rejected, refused FROM liber.ingest_file ORDER BY file_id DESC LIMIT 1"


def key_of(engine: Engine, user: str) -> int:
    return state.rows(engine, "SELECT user_key FROM liber.user_profile WHERE user_id = :u", u=user)[0][0]


def load(engine: Engine, settings: Settings, folder: Path, rows: list, **options) -> object:
    path = write_jsonl(folder / f"{len(list(folder.iterdir()))}.jsonl", rows)
    return ingest(engine, settings.model_copy(update={"max_rejected_share": 1.0}), [path], **options)


# Everything goes


def test_no_table_column_or_statistic_of_the_database_holds_an_erased_id(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    fill(engine, settings, tmp_path, USERS)
    for user in USERS[:-1]:
        key = key_of(engine, user)
        filled = [table for table, column in tables_of_users(engine) if state.rows(
            engine, f"SELECT 1 FROM liber.{table} WHERE {column} = :of LIMIT 1",  # noqa: S608
            of=key if column == "user_key" else user)]  # fmt: skip
        assert filled == [table for table, _ in tables_of_users(engine)], "the test fills every table"
        assert len(places(engine, user)) >= 7
        before = of_others(engine, user, key)

        report = erase(engine, user)
        assert set(report.removed) == {*filled, "rejected_row"}
        assert report.removed["behavior"] == 8
        assert report.removed["rejected_row"] >= 5  # of 6: one that is cut off may have been another's

        assert of_others(engine, user, key) == before
        # maria-1777's id is the beginning of another id, which stays
        left = [place for place in places(engine, user) if user != "maria-1777"]
        assert left == []
        for table, column in tables_of_users(engine):
            assert state.rows(engine, f"SELECT 1 FROM liber.{table} WHERE {column} = :of",  # noqa: S608
                              of=key if column == "user_key" else user) == []  # fmt: skip
    assert places(engine, USERS[0]) == []
    assert state.rows(engine, "SELECT count(*) FROM liber.rejected_row WHERE raw IS NOT NULL") == [(6,)]


def test_an_id_of_one_digit_takes_nothing_of_longer_ones(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    users = ["4", "40", "14", "_4x"]
    for user in users:
        load(
            engine,
            settings,
            tmp_path,
            [behavior(1, user_id=user), behavior(2, user_id=user, kind="sneeze", item_id="i")],
        )
    raws = "SELECT raw FROM liber.rejected_row WHERE raw IS NOT NULL"
    assert len(state.rows(engine, raws)) == 4
    before = of_others(engine, "4", key_of(engine, "4"))
    removed = dict(erase(engine, "4").removed)
    removed.pop("ingest_file", None)  # pytest numbers its folders
    assert removed == {"behavior": 1, "rejected_row": 1, "user_profile": 1, "user_stream": 1}
    assert of_others(engine, "4", None) == before
    assert sorted(user for user in users for (raw,) in state.rows(engine, raws) if f'"{user}"' in raw) == [
        "14",
        "40",
        "_4x",
    ]


def test_a_table_added_later_is_erased_from_without_being_listed(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    load(engine, settings, tmp_path, [behavior(1, user_id="ann-17"), behavior(1, user_id="ben")])
    with engine.begin() as connection:
        connection.connection.cursor().execute("""
            CREATE TABLE liber."new table" (user_id text, said text) PARTITION BY HASH (user_id);
            CREATE TABLE liber.part PARTITION OF liber."new table" FOR VALUES WITH (MODULUS 1, REMAINDER 0);
            INSERT INTO liber."new table" VALUES ('ann-17', 'x'), ('ann-17', 'y'), ('ben', 'z')""")
    assert erase(engine, "ann-17").removed["new table"] == 2
    assert state.rows(engine, 'SELECT user_id FROM liber."new table"') == [("ben",)]


def test_without_renewing_them_the_planners_statistics_would_keep_the_id(
    engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(engine, settings, tmp_path, [behavior(1, user_id=user) for user in ("ann-17", "ann-18", "ben")])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    erase(engine, "ann-17")
    assert places(engine, "ann-17") == []
    nothing = text("SELECT 1")
    monkeypatch.setattr(
        "liber_tasks.behavior.erase.query", lambda name: nothing if name == "erase/statistics" else db.query(name)
    )
    erase(engine, "ann-18")
    assert places(engine, "ann-18") == ["pg_stats.histogram_bounds"]


def test_every_column_that_names_a_user_has_a_name_that_erasure_knows(engine: Engine) -> None:
    names = state.rows(engine, "SELECT DISTINCT column_name::text FROM information_schema.columns"
                               " WHERE table_schema = 'liber' AND column_name LIKE '%user%' ORDER BY 1")  # fmt: skip
    assert names == [("user_digest",), ("user_id",), ("user_key",)]


def test_a_file_named_after_the_user_is_not_named_any_more(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    ingest(engine, settings, [write_jsonl(tmp_path / "export_ann-17.jsonl", [behavior(1, user_id="ann-17")])])
    ingest(engine, settings, [write_jsonl(tmp_path / "ann-170.jsonl", [behavior(1, user_id="ann-170")])])
    assert erase(engine, "ann-17").removed["ingest_file"] == 1
    names = [
        Path(source).name for (source,) in state.rows(engine, "SELECT source FROM liber.ingest_file ORDER BY file_id")
    ]
    assert names == ["export_[erased].jsonl", "ann-170.jsonl"]


# What is recorded


def test_a_second_erasure_finds_nothing_and_records_nothing(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    load(engine, settings, tmp_path, [behavior(1)])
    first = erase(engine, "u1")
    records = state.rows(engine, "SELECT * FROM liber.erasure")
    second = erase(engine, "u1")
    assert (first.recorded, first.found, second.recorded, second.found) == (True, True, False, False)
    assert second.erased_at == first.erased_at
    assert state.rows(engine, "SELECT * FROM liber.erasure") == records
    assert records[0][3] == {"behavior": 1, "user_profile": 1, "user_stream": 1}


def test_a_user_nobody_has_heard_of_is_refused_when_the_events_come(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    report = erase(engine, "u1")
    assert (report.recorded, report.found, report.removed) == (True, False, {})
    assert load(engine, settings, tmp_path, [behavior(1)]).refused == 1
    assert [row for row in state.everything(engine)["profiles"] if row[0] == "user"] == []  # an item is nobody's


def test_rows_written_past_the_refusal_join_the_record(engine: Engine) -> None:
    erase(engine, "u1")
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO liber.simulated_play VALUES (1, 'u1', '2024-01-01', 1, 1)"))
    assert erase(engine, "u1").removed == {"simulated_play": 1}
    assert state.rows(engine, "SELECT removed FROM liber.erasure") == [({"simulated_play": 1},)]


def test_databases_have_secrets_of_their_own(engine: Engine) -> None:
    erase(engine, "u1")
    ((key,),) = state.rows(engine, "SELECT key FROM liber.erasure_key")
    ((digest,),) = state.rows(engine, "SELECT user_digest FROM liber.erasure")
    assert (len(key), len(digest)) == (32, 32)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM liber.erasure_key"))
        connection.execute(text("DELETE FROM liber.erasure"))
    erase(engine, "u1")
    assert state.rows(engine, "SELECT key FROM liber.erasure_key") != [(key,)]
    assert state.rows(engine, "SELECT user_digest FROM liber.erasure") != [(digest,)]


def test_the_readers_role_sees_neither_records_nor_secret(engine: Engine) -> None:
    with engine.connect() as connection:
        for table, allowed in (("behavior", True), ("erasure", False), ("erasure_key", False)):
            granted = text("SELECT has_table_privilege('liber_reader', cast(:name AS text), 'SELECT')")
            assert connection.execute(granted, {"name": f"liber.{table}"}).scalar_one() is allowed


@pytest.mark.parametrize("user", ["", "  ", "a\0b", "é" * 257, "\udc80"])
def test_what_cannot_be_an_id_is_refused(engine: Engine, user: str) -> None:
    with pytest.raises(InputError, match="cannot be the id of a user"):
        erase(engine, user)


# What comes later


def test_behaviours_of_an_erased_user_are_refused_and_counted(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    erase(engine, "ann-17")
    rows = [
        behavior(1, user_id="ann-17"),
        behavior(1, user_id="ben"),
        behavior(1, user_id="ann-17"),
        behavior(1, user_id="ben"),
    ]
    report = load(engine, settings, tmp_path, [*rows, behavior(2, user_id="ben", kind="sneeze")])
    assert (report.rows_read, report.accepted, report.duplicates, report.rejected, report.refused) == (5, 1, 1, 1, 2)
    assert report.reasons == {"user was erased": 2, "kind is unknown": 1}
    assert report.to_dict()["refused"] == 2
    assert state.rows(engine, FILES) == [(5, 1, 1, 1, 2)]
    assert places(engine, "ann-17") == []


def test_a_profile_of_an_erased_user_is_refused(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    erase(engine, "ann-17")
    report = load(
        engine, settings, tmp_path, [{"user_id": "ann-17", "age": 3}, {"user_id": "ben", "age": 4}], kind="users"
    )
    assert (report.accepted, report.duplicates, report.refused) == (1, 0, 1)
    assert [row[1] for row in state.everything(engine)["profiles"]] == ["ben"]


@pytest.mark.parametrize("user", ["maria-1777", 'O"Brien\\x1', "Zoë Ångström", "用户🎬77", "100%_x'; --"])
def test_rejected_rows_of_an_erased_user_keep_their_reason_but_not_their_text(
    engine: Engine, settings: Settings, tmp_path: Path, user: str
) -> None:
    erase(engine, user)
    bad = [row for number, row in enumerate(rejected(user)) if number not in (3, 4)]  # cut and nested: see below
    load(engine, settings, tmp_path, [behavior(1, user_id="ben"), *bad, behavior(3, user_id="ben", kind="sneeze")])
    path = write_csv(tmp_path / "e.csv", [behavior(4, user_id="ben"), behavior(5, user_id=user, kind="sneeze")])
    with path.open("a", encoding="utf-8") as file:
        quoted = user.replace('"', '""')
        file.write(f'e,"{quoted}"\n')  # too few columns
    ingest(engine, settings.model_copy(update={"max_rejected_share": 1.0}), [path])
    assert places(engine, user) == []
    kept = state.rows(engine, "SELECT reason, raw IS NULL FROM liber.rejected_row ORDER BY file_id, line")
    assert kept == [("kind is unknown", True)] * 2 + [("not valid JSON", True), ("kind is unknown", False)] + [
        ("kind is unknown", True), ("wrong number of columns", True)]  # fmt: skip


def test_an_exposure_of_an_erased_user_does_not_enter(engine: Engine) -> None:
    erase(engine, "ann-17")
    with engine.begin() as connection:
        connection.connection.cursor().execute("""
            INSERT INTO liber.experiment (name, hypothesis, salt, control_share, treatment_share, starts_at, ends_at)
            VALUES ('e', '', '', 0.5, 0.5, '2024-05-01Z', '2024-05-08Z');
            INSERT INTO liber.exposure VALUES
            (1, 'ann-17', 'control', '2024-05-01Z'), (1, 'ben', 'control', '2024-05-01Z')""")
    assert state.rows(engine, "SELECT user_id FROM liber.exposure") == [("ben",)]


# Re-admission


def test_a_readmitted_user_starts_from_nothing(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    load(engine, settings, tmp_path, [behavior(n) for n in range(5)])
    seal(engine, PartitionRule(2), END)
    old_key = key_of(engine, "u1")
    erase(engine, "u1")
    first, again = readmit(engine, "u1"), readmit(engine, "u1")
    assert (first.changed, again.changed, again.readmitted_at) == (True, False, first.readmitted_at)
    assert load(engine, settings, tmp_path, [behavior(n, rating=1) for n in range(3)]).accepted == 3
    seal(engine, PartitionRule(2), END)
    assert [row[1] for row in state.stream(engine)] == [1, 2, 3]
    assert [row[1:4] for row in state.everything(engine)["partitions"]] == [(1, 1, 2)]
    assert key_of(engine, "u1") != old_key


def test_a_user_erased_again_has_a_second_record(engine: Engine) -> None:
    erase(engine, "u1")
    readmit(engine, "u1")
    assert erase(engine, "u1").recorded
    ended = state.rows(engine, "SELECT readmitted_at IS NOT NULL FROM liber.erasure ORDER BY erased_at")
    assert ended == [(True,), (False,)]


def test_readmitting_a_user_who_was_never_erased_names_the_id(engine: Engine) -> None:
    with pytest.raises(InputError, match=r"'u1' was never erased"):
        readmit(engine, "u1")


# All or nothing

WORKER = """
import sys
from liber_tasks import db
from liber_tasks.behavior.erase import erase

def told(done, total, label):
    if done == int(sys.argv[3]):
        print("there", flush=True)
        sys.stdin.read()  # hold still until killed

erase(db.engine(sys.argv[1]), sys.argv[2], progress=told)
"""


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_killed_at_any_step_it_has_done_nothing_and_a_second_call_does_all(
    engine: Engine, database_url: str, settings: Settings, tmp_path: Path, step: int
) -> None:
    load(engine, settings, tmp_path, [*(behavior(n) for n in range(9)), behavior(10, kind="sneeze")])
    seal(engine, PartitionRule(2), END)
    before = state.everything(engine)
    worker = subprocess.Popen([sys.executable, "-c", WORKER, database_url, "u1", str(step)], cwd=ROOT,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert worker.stdout is not None
    assert worker.stdout.readline() == "there\n"
    worker.kill()
    worker.communicate()
    assert state.everything(engine) == before
    assert state.rows(engine, "SELECT count(*) FROM liber.erasure") == [(0,)]
    assert erase(engine, "u1").removed == {
        "behavior": 9, "behavior_partition": 4, "rejected_row": 1, "user_profile": 1, "user_stream": 1
    }  # fmt: skip
    assert not re.search("u1", str([state.everything(engine)[part] for part in ("stream", "profiles", "rejected")]))
