"""Promises of sealing: the SQL gives what Algorithm 1 gives, however the stream is cut."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from liber_tasks.behavior.ingest import ingest
from liber_tasks.behavior.movielens import obtain
from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import SealReport, seal
from tests.behavior import state
from tests.partition.oracle import Event, Partition
from tests.partition.streams import moment, partitions, write

END = datetime(2100, 1, 1, tzinfo=UTC)


def load(engine: Engine, settings: Settings, folder: Path, user: str, *arriving: list[Event]) -> int:
    """Ingest batches of one user, a file each; returns the duplicates."""
    files = [write(folder / f"{user}-{n}.jsonl", {user: batch}) for n, batch in enumerate(arriving) if batch]
    return ingest(engine, settings, files).duplicates if files else 0


# What a partition is


def row_of(engine: Engine) -> list[tuple]:
    return state.everything(engine)["partitions"]


def test_a_partition_is_a_range_of_seq_with_its_times(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    load(engine, settings, tmp_path, "u", [Event(str(n), 100 + n) for n in range(7)])
    assert seal(engine, PartitionRule(3), END) == SealReport(2, 6, {"count": 2})
    assert row_of(engine) == [
        ("u", 1, 1, 3, 3, moment(100), moment(102), moment(102), "count"),
        ("u", 2, 4, 6, 3, moment(103), moment(105), moment(105), "count"),
    ]


def test_the_closing_behaviour_counts_when_it_lies_on_the_watermark(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    load(engine, settings, tmp_path, "u", [Event(str(n), 100 + n) for n in range(4)])
    assert seal(engine, PartitionRule(4), moment(102)).partitions == 0
    assert seal(engine, PartitionRule(4), moment(103)).partitions == 1


def test_an_old_cache_is_due_when_the_watermark_reaches_its_age(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    load(engine, settings, tmp_path, "u", [Event("a", 100)])
    rule = PartitionRule(None, max_age=timedelta(seconds=10))
    assert seal(engine, rule, moment(109)).partitions == 0
    assert seal(engine, rule, moment(110)).reasons == {"age": 1}


def test_of_two_deadlines_the_first_is_the_reason_and_inactivity_on_a_tie(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    load(engine, settings, tmp_path, "u", [Event("a", 100), Event("b", 104)])
    for user, age, reason in (("v", 14, "gap"), ("w", 13, "age"), ("x", 15, "gap")):
        load(engine, settings, tmp_path, user, [Event("a", 100), Event("b", 104)])
        rule = PartitionRule(None, gap=timedelta(seconds=10), max_age=timedelta(seconds=age))
        seal(engine, rule, moment(200), users=[user])
        assert partitions(engine, user)[user] == [Partition(("a", "b"), reason, 100 + min(age, 14))]


def test_a_late_event_never_changes_a_sealed_partition(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    load(engine, settings, tmp_path, "u", [Event("b", 200), Event("c", 300)])
    seal(engine, PartitionRule(2), END)
    before = row_of(engine)
    load(engine, settings, tmp_path, "u", [Event("a", 100), Event("d", 250)])
    seal(engine, PartitionRule(2), END)
    assert row_of(engine)[:1] == before
    assert partitions(engine, "u")["u"] == [
        Partition(("b", "c"), "count", 300), Partition(("a", "d"), "count", 300)
    ]  # fmt: skip


def test_sealing_again_changes_nothing(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    load(engine, settings, tmp_path, "u", [Event(str(n), n) for n in range(10)])
    seal(engine, PartitionRule(4), END)
    before = state.everything(engine)
    assert seal(engine, PartitionRule(4), END) == SealReport()
    assert state.everything(engine) == before


def test_another_k_holds_for_what_is_not_sealed_yet(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    load(engine, settings, tmp_path, "u", [Event(f"{n:02}", n) for n in range(10)])
    seal(engine, PartitionRule(4), moment(5))
    seal(engine, PartitionRule(3), END)
    assert [len(partition.members) for partition in partitions(engine, "u")["u"]] == [4, 3, 3]


def test_only_the_users_asked_for_are_sealed(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    for user in ("u1", "u2"):
        load(engine, settings, tmp_path, user, [Event(str(n), n) for n in range(3)])
    assert seal(engine, PartitionRule(2), END, users=["u2"]) == SealReport(1, 2, {"count": 1})
    assert [row[0] for row in row_of(engine)] == ["u2"]
    assert seal(engine, PartitionRule(2), END, users=[]) == SealReport()
    with pytest.raises(InputError, match="'u3'"):
        seal(engine, PartitionRule(2), END, users=["u1", "u3"])


def test_no_behaviour_row_is_ever_updated(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    load(engine, settings, tmp_path, "u", [Event(str(n), n) for n in range(30)])
    versions = "SELECT xmin::text, ctid::text FROM liber.behavior ORDER BY seq"
    before = state.rows(engine, versions)
    seal(engine, PartitionRule(4), END)
    assert state.rows(engine, versions) == before


def test_users_beyond_one_transaction_are_all_sealed(
    engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liber_tasks.partition.stream.USERS_A_TRANSACTION", 3)
    path = write(tmp_path / "e.jsonl", {f"u{n}": [Event("a", 1), Event("b", 2)] for n in range(10)})
    ingest(engine, settings, [path])
    told: list[tuple[int, int | None]] = []
    report = seal(engine, PartitionRule(2), END, progress=lambda done, total, label: told.append((done, total)))
    assert (report.partitions, told) == (10, [(3, 10), (6, 10), (9, 10), (10, 10)])


def test_a_watermark_without_zone_is_refused(engine: Engine) -> None:
    with pytest.raises(InputError, match=r"watermark == 2024-01-01.*time zone"):
        seal(engine, PartitionRule(), datetime(2024, 1, 1))


def test_a_database_without_schema_says_what_to_run(cluster) -> None:
    from liber_tasks import db

    with pytest.raises(LiberError, match="liber init-db"):
        seal(db.engine(cluster.url("postgres")), PartitionRule(), END)


def test_movielens_at_k_20_gives_4604_partitions(
    engine: Engine, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = obtain(settings, tmp_path_factory.mktemp("movielens"))
    ingest(engine, settings, [files.behaviors])
    assert seal(engine, PartitionRule(20), END) == SealReport(4_604, 92_080, {"count": 4_604})
    assert state.rows(engine, "SELECT count(*), count(DISTINCT user_id) FROM liber.partition_event") == [(92_080, 943)]
