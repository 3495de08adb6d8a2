"""Promises of retention: what is old goes, is never asked for again, and everything else is as it was."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from liber_tasks.behavior.ingest import ingest
from liber_tasks.cli_knowledge import show_timeline
from liber_tasks.config import Settings
from liber_tasks.encoder.store import encode
from liber_tasks.errors import InputError, ServiceUnavailable
from liber_tasks.interest.files.knowledge_export import export
from liber_tasks.interest.files.knowledge_import import import_
from liber_tasks.interest.learn import learn
from liber_tasks.interest.reproduce import reproduce
from liber_tasks.interest.timeline import timeline
from liber_tasks.retention import Bounds, RetentionReport, bounds_of, retain
from liber_tasks.status.count import backlog
from tests.behavior.files import behavior, write_jsonl
from tests.interest.data import START, add_user, rows, texts
from tests.interest.faults import GOOD, faulty

NOW = datetime(2026, 1, 1, 15, tzinfo=UTC)
OLD, NEW = START + timedelta(hours=-2), START + timedelta(hours=2)
BOUND = START - timedelta(minutes=30)  # of a user's three partitions the last one is sealed later


def waiting(engine: Engine) -> set[tuple[str, int]]:
    with engine.connect() as connection:
        return {(stage.stage, stage.pending) for stage in backlog(connection)}


def of_texts(before: datetime = BOUND, **options) -> Bounds:
    return Bounds(before, None, None, **options)


def vectors(engine: Engine) -> list[tuple]:
    return rows(engine, "SELECT user_key, partition_no FROM liber.interest_vector ORDER BY 1, 2")


def asked(engine: Engine, settings: Settings, **options) -> tuple[int, int]:
    """Calls that a learning run makes, and that a dry run before it announces."""
    with faulty(lambda *_: GOOD) as seen:
        here = settings.model_copy(update={"llm_url": seen.url})
        planned = learn(engine, here, dry_run=True, **options).calls
        done = learn(engine, here, **options)
        assert done.pending_summaries + done.pending_shifts == 0
        assert sum(seen.prompts.values()) == done.calls
        return done.calls, planned


VECTORS = """
INSERT INTO liber.encoder VALUES ('x', 'bert', 'mean', 'float32', 2, '', '', 10, NULL, 0.9);
INSERT INTO liber.interest_vector
SELECT user_key, partition_no, 'x', knowledge_version, '[1, 0]' FROM liber.interest WHERE kind = 'summary';
"""


@pytest.fixture
def learnt(engine: Engine, settings: Settings) -> Settings:
    """Users a and b with three partitions each, all learnt and encoded."""
    for user in "ab":
        add_user(engine, user, 3)
    assert asked(engine, settings) == (10, 10)
    with engine.begin() as connection:
        connection.connection.cursor().execute(VECTORS)
    return settings


def test_texts_of_old_partitions_go_and_their_vectors_stay(engine: Engine, learnt: Settings) -> None:
    before = vectors(engine)
    report = retain(engine, of_texts())
    assert report.removed == {"texts": 6}
    assert texts(engine) == [(key, 3, kind) for key in (1, 2) for kind in ("shift", "summary")]
    assert vectors(engine) == before
    assert waiting(engine) >= {("summary", 0), ("shift", 0), ("encode", 0)}


def test_an_error_that_quotes_an_answer_is_shortened_with_the_texts(engine: Engine, learnt: Settings) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.llm_call SET state = 'quarantined', error = 'it loops: Fargo, Fargo'"))
    assert retain(engine, of_texts()).removed == {"texts": 6, "errors": 6}
    errors = rows(engine, "SELECT DISTINCT partition_no = 3, error FROM liber.llm_call ORDER BY 1")
    assert errors == [(False, "it loops"), (True, "it loops: Fargo, Fargo")]


def test_what_was_removed_is_asked_for_by_no_run_of_any_version(engine: Engine, learnt: Settings) -> None:
    retain(engine, of_texts())
    assert asked(engine, learnt) == (0, 0)
    other = learnt.model_copy(update={"llm_model": "another"})
    assert asked(engine, other) == (2, 2)  # the two partitions that are young enough; before them is no summary


def test_a_partition_after_a_removed_one_begins_anew_and_is_encoded(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 3)
    settings = settings.model_copy(update={"encoder_dimension": 2})
    retain(engine, of_texts())
    assert waiting(engine) >= {("summary", 1), ("shift", 0)}
    assert asked(engine, settings) == (1, 1)
    assert texts(engine) == [(1, 3, "summary")]
    add_user(engine, "b", 1)
    assert asked(engine, settings) == (1, 1)
    encode(engine, settings)
    assert vectors(engine) == [(1, 3), (2, 1)]


def test_the_policy_all_takes_the_vectors_along(engine: Engine, learnt: Settings) -> None:
    assert retain(engine, of_texts(vectors=True)).removed == {"texts": 6, "vectors": 4}
    assert vectors(engine) == [(1, 3), (2, 3)]


def test_one_version_alone_can_be_removed(engine: Engine, learnt: Settings) -> None:
    other = learnt.model_copy(update={"llm_model": "another"})
    assert asked(engine, other) == (10, 10)
    versions = rows(engine, "SELECT knowledge_version FROM liber.knowledge_version ORDER BY created_at")
    (first,), (second,) = versions
    assert retain(engine, of_texts(NEW, knowledge_version=first)).removed == {"texts": 10}
    assert rows(engine, "SELECT DISTINCT knowledge_version FROM liber.interest") == [(second,)]
    assert asked(engine, learnt) == (0, 0)
    with pytest.raises(InputError, match="no knowledge version 'x'"):
        retain(engine, of_texts(knowledge_version="x"))


def test_a_dry_run_counts_and_changes_nothing(engine: Engine, learnt: Settings) -> None:
    add_user(engine, "late", 1)
    asked(engine, learnt)
    before = (texts(engine), vectors(engine))
    report = retain(engine, of_texts(NEW, vectors=True), dry_run=True)
    (version,) = report.texts
    assert report == RetentionReport(
        of_texts(NEW, vectors=True), {"texts": 11, "vectors": 6}, {version: 11}, unread=1, dry_run=True
    )
    assert (texts(engine), vectors(engine)) == before
    assert rows(engine, "SELECT * FROM liber.retention") == []


def test_a_second_run_changes_nothing_and_the_ledger_says_what_went(engine: Engine, learnt: Settings) -> None:
    retain(engine, of_texts())
    ledger = rows(engine, "SELECT * FROM liber.retention")
    assert rows(engine, "SELECT subject, before, vectors, removed FROM liber.retention") == [
        ("texts", BOUND, False, {"texts": 6})
    ]
    assert rows(engine, "SELECT finished_at IS NOT NULL FROM liber.retention") == [(True,)]
    assert retain(engine, of_texts()).removed == {}
    assert rows(engine, "SELECT * FROM liber.retention") == ledger


def test_a_run_that_is_broken_off_is_finished_by_the_next(
    engine: Engine, learnt: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liber_tasks.retention.USERS_A_BATCH", 1)

    def stop(done: int, total: int | None, label: str) -> None:
        raise ServiceUnavailable("gone")

    def once(done: int, total: int | None, label: str) -> None:
        if done > 3:
            stop(done, total, label)

    with pytest.raises(ServiceUnavailable):
        retain(engine, of_texts(), progress=once)
    assert rows(engine, "SELECT removed, finished_at FROM liber.retention") == [({"texts": 3}, None)]
    assert asked(engine, learnt) == (0, 0)  # the bound holds from the beginning
    assert retain(engine, of_texts()).removed == {"texts": 3}
    assert rows(engine, "SELECT removed FROM liber.retention") == [({"texts": 6},)]


def test_an_answer_that_comes_after_the_bound_is_not_stored(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 1)

    def late(number: int, prompt: str):
        retain(engine, of_texts(NEW))
        return GOOD

    with faulty(late) as seen:
        learn(engine, settings.model_copy(update={"llm_url": seen.url}))
    assert texts(engine) == []


def test_an_import_does_not_bring_it_back(engine: Engine, learnt: Settings, tmp_path: Path) -> None:
    export(engine, tmp_path / "kept.jsonl")
    retain(engine, of_texts())
    report = import_(engine, tmp_path / "kept.jsonl")
    assert (report.read, report.already_there, report.refused, report.imported) == (10, 4, 6, 0)


def test_timeline_and_prompt_say_that_and_when_it_was_removed(
    engine: Engine, learnt: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    retain(engine, of_texts())
    day = rows(engine, "SELECT to_char(begun_at, 'YYYY-MM-DD') FROM liber.retention")[0][0]
    entries = timeline(engine, "a")
    assert [entry.removed_at is not None for entry in entries] == [True, True, False]
    show_timeline(entries, "a")
    shown = capsys.readouterr().out
    assert shown.count(f"removed by retention on {day}") == 3  # two summaries and a shift
    assert "not learnt yet" not in shown
    with pytest.raises(InputError, match=f"removed by retention on {day}"):
        reproduce(engine, "a", 1, "summary")


def test_raw_rejected_rows_keep_line_and_reason(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"max_rejected_share": 1.0})
    for number in (1, 2):
        bad = behavior(number, user_id=f"secret-{number}", kind="sneeze")
        ingest(engine, settings, [write_jsonl(tmp_path / f"{number}.jsonl", [behavior(number), bad])])
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.rejected_row SET rejected_at = :old WHERE file_id = 1"), {"old": OLD})
    bounds = Bounds(None, START, None)
    assert retain(engine, bounds, dry_run=True).removed == {"rejected": 1}
    assert retain(engine, bounds).removed == {"rejected": 1}
    found = rows(engine, "SELECT line, reason, raw LIKE '%secret-2%' FROM liber.rejected_row ORDER BY file_id")
    assert found == [(2, found[0][1], None), (2, found[0][1], True)]
    assert retain(engine, bounds).removed == {}


def test_the_ledger_forgets_closed_calls_but_never_one_that_was_set_aside(engine: Engine, learnt: Settings) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.llm_call SET finished_at = :old"), {"old": OLD})
        connection.execute(text("UPDATE liber.llm_call SET state = 'quarantined' WHERE partition_no = 3"))
    bounds = Bounds(None, None, START)
    assert retain(engine, bounds).removed == {"calls": 6}
    assert rows(engine, "SELECT DISTINCT state::text FROM liber.llm_call") == [("quarantined",)]
    assert asked(engine, learnt) == (0, 0)


def test_ages_are_moments_at_midnight_so_that_a_day_has_one_bound(settings: Settings) -> None:
    year = timedelta(days=365)
    first = bounds_of(settings, now=NOW, older_than=year)
    assert first == bounds_of(settings, now=NOW + timedelta(hours=8), older_than=year)
    assert first == Bounds(*[datetime(2025, 1, 1, tzinfo=UTC)] * 3)
    own = settings.model_copy(update={"retain_rejected": timedelta(days=1), "retain_policy": "all"})
    assert bounds_of(own, now=NOW) == Bounds(None, datetime(2025, 12, 31, tzinfo=UTC), None, vectors=True)
    assert bounds_of(settings, now=NOW, older_than=year, knowledge_version="v") == Bounds(
        first.texts, None, None, knowledge_version="v"
    )
    with pytest.raises(InputError, match="LIBER_RETAIN_TEXTS"):
        bounds_of(settings, now=NOW)


def test_the_defaults_keep_everything_and_no_prompt(settings: Settings) -> None:
    assert (settings.retain_texts, settings.retain_rejected, settings.retain_calls) == (None, None, None)
    assert settings.trace_share == 0
