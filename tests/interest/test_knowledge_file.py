"""Knowledge files: what one database learnt, another has, with the same bytes; or nothing at all."""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from liber_tasks.behavior.erase import erase
from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError
from liber_tasks.interest.files.knowledge_export import export
from liber_tasks.interest.files.knowledge_import import import_
from liber_tasks.interest.learn import learn
from tests.interest.data import add_user, rows
from tests.interest.faults import GOOD, Reply, completion, faulty
from tests.interest.knowledge_files import EVERYTHING, one, until, written

STORED = ("SELECT u.user_id, i.partition_no, i.kind::text, i.knowledge_version, i.text, i.input_sha256, i.left_out,"
          " i.prompt_tokens, i.completion_tokens, i.latency_seconds, i.finish_reason"
          " FROM liber.interest i JOIN liber.user_profile u USING (user_key) ORDER BY 1, 2, 3")  # fmt: skip
HOSTILE = 'tab\there, line\nbreak, back\\slash \\N \\., "quotes", \u2028, 雪, \U0001f600, \x7f'


@pytest.fixture
def learnt(engine: Engine, settings: Settings) -> Engine:
    """Two users with three partitions and one, learnt; the answers are hostile."""
    add_user(engine, "a", 3)
    add_user(engine, "ü b", 1)
    with faulty(lambda number, _: Reply(body=completion(f"likes {number} {HOSTILE}"))) as seen:
        learn(engine, settings.model_copy(update={"llm_url": seen.url}))
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE liber.knowledge_version SET registered = :r, recipe = coalesce(recipe, :r)"),
            {"r": json.dumps({"summary": "prompts:/liber-summary/3", "shift": "prompts:/s/1"})},
        )
        connection.execute(text("UPDATE liber.interest SET left_out = 2, finish_reason = NULL WHERE partition_no = 2"))
    return engine


@pytest.fixture
def twin(other: Engine) -> Engine:
    """The same behaviours under other keys, among somebody else's."""
    add_user(other, "somebody", 2)
    add_user(other, "ü b", 1)
    add_user(other, "a", 3)
    return other


def parts(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and texts as JSON."""
    first, *rest = path.read_bytes().decode().split("\n")[:-1]
    return json.loads(first), [json.loads(line) for line in rest]


@pytest.mark.parametrize("name", ["k.jsonl", "k.jsonl.gz"])
def test_a_round_trip_gives_the_same_texts_and_the_same_bytes(
    learnt: Engine, twin: Engine, tmp_path: Path, name: str
) -> None:
    report = export(learnt, tmp_path / name)
    found = import_(twin, tmp_path / name)
    assert rows(twin, STORED) == rows(learnt, STORED)
    assert len(rows(twin, STORED)) == report.texts == found.read == found.imported == 6
    again = export(twin, tmp_path / f"again-{name}")
    assert (again.sha256, again.users) == (report.sha256, 2)
    assert again.path.read_bytes() == report.path.read_bytes()
    version = "SELECT knowledge_version, model, summary_prompt, shift_prompt, parameters, recipe, registered"
    assert rows(twin, f"{version} FROM liber.knowledge_version") == rows(
        learnt, f"{version} FROM liber.knowledge_version"
    )


def test_an_imported_text_is_not_asked_for_again(
    learnt: Engine, twin: Engine, settings: Settings, tmp_path: Path
) -> None:
    report = import_(twin, export(learnt, tmp_path / "k").path)
    with faulty(lambda *_: GOOD) as seen:
        run = learn(twin, settings.model_copy(update={"llm_url": seen.url}), users=["a", "ü b"])
        assert (run.calls, run.knowledge_version) == (0, report.knowledge_version)
        assert learn(twin, settings.model_copy(update={"llm_url": seen.url})).calls == 3  # somebody's
    assert rows(twin, "SELECT count(*) FROM liber.llm_call") == [(3,)]


def test_a_second_import_changes_nothing(learnt: Engine, twin: Engine, tmp_path: Path) -> None:
    path = export(learnt, tmp_path / "k").path
    import_(twin, path)
    state = "SELECT i::text, i.xmin::text FROM liber.interest i UNION ALL SELECT k::text, k.xmin::text"
    before = rows(twin, f"{state} FROM liber.knowledge_version k ORDER BY 1")
    again = import_(twin, path)
    assert (again.read, again.imported, again.already_there) == (6, 0, 6)
    assert rows(twin, f"{state} FROM liber.knowledge_version k ORDER BY 1") == before


def test_the_newest_version_is_exported_unless_one_is_named(learnt: Engine, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no text of knowledge version 'x': give one of local-movies-"):
        export(learnt, tmp_path / "k", knowledge_version="x")
    import_(learnt, written(tmp_path / "new", [one()], knowledge_version="newer"))
    ((old, _),) = rows(learnt, "SELECT knowledge_version, count(*) FROM liber.interest GROUP BY 1 HAVING count(*) > 1")
    assert export(learnt, tmp_path / "k").knowledge_version == "newer"
    assert export(learnt, tmp_path / "k", knowledge_version=old).texts == 6


def test_nothing_learnt_or_no_place_for_the_file_is_a_sentence(engine: Engine, learnt: Engine, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        export(learnt, tmp_path / "none" / "k")
    with learnt.begin() as connection:
        connection.execute(text("UPDATE liber.interest SET text = ' ' WHERE kind = 'shift' AND partition_no = 3"))
    (tmp_path / "k").write_text("before")
    with pytest.raises(LiberError, match="shift of partition 3 of user 'a' cannot be exported: text is ' '"):
        export(learnt, tmp_path / "k")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir() if file.is_file()] == [("k", "before")]
    with learnt.begin() as connection:
        connection.execute(text("DELETE FROM liber.interest"))
    with pytest.raises(InputError, match="nothing to export"):
        export(learnt, tmp_path / "k")


def test_lines_are_in_the_order_of_user_partition_and_kind(learnt: Engine, tmp_path: Path) -> None:
    header, texts = parts(export(learnt, tmp_path / "k").path)
    assert [(line["user_id"], line["partition_no"], line["kind"]) for line in texts] == [
        ("a", 1, "summary"), ("a", 2, "shift"), ("a", 2, "summary"), ("a", 3, "shift"), ("a", 3, "summary"),
        ("ü b", 1, "summary"),
    ]  # fmt: skip
    assert texts[0]["partition_sha256"] == one()["partition_sha256"]
    assert (header["format"], header["format_version"], header["texts"]) == ("liber-knowledge", 1, 6)
    assert [line["left_out"] for line in texts] == [0, 2, 2, 0, 0, 0]


@pytest.mark.parametrize("name", ["k.jsonl", "k.jsonl.gz"])
def test_a_damaged_file_is_refused_and_changes_nothing(
    learnt: Engine, other: Engine, tmp_path: Path, name: str
) -> None:
    """Other than the plain file, the compressed one has bytes without meaning; then all of it is as it was."""
    add_user(other, "a", 3)
    add_user(other, "ü b", 1)
    whole = export(learnt, tmp_path / name).path.read_bytes()
    path = tmp_path / f"damaged-{name}"

    def attempt(content: bytes) -> None:
        path.write_bytes(content)
        try:
            import_(other, path)
        except InputError:
            assert rows(other, EVERYTHING) == [(0, 0)]
            return
        assert name.endswith(".gz")
        assert rows(other, STORED) == rows(learnt, STORED)
        with other.begin() as connection:
            connection.execute(text("TRUNCATE liber.interest, liber.knowledge_version CASCADE"))

    few = hypothesis_settings(
        max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )

    @few
    @given(st.integers(0, len(whole) - 1), st.integers(1, 255))
    def flip(place: int, bits: int) -> None:
        attempt(whole[:place] + bytes([whole[place] ^ bits]) + whole[place + 1 :])

    @few
    @given(st.integers(0, len(whole) - 1))
    def cut(place: int) -> None:
        attempt(whole[:place])

    flip()
    cut()
    for content in (whole + b"x", whole + whole, whole[1:]):
        attempt(content)


@pytest.fixture
def partly(learnt: Engine, other: Engine, tmp_path: Path) -> Path:
    """A file of which `other` can take user a's first two partitions: the third is missing, so is user ü b."""
    add_user(other, "a", 2)
    return export(learnt, tmp_path / "k").path


def test_unless_every_text_fits_nothing_is_loaded(partly: Path, other: Engine) -> None:
    with pytest.raises(
        InputError,
        match=r"line 5: .* the shift of partition 3 of user 'a': unknown partition "
        r"\(in all: 1 unknown user, 2 unknown partition\).*--skip-bad",
    ):
        import_(other, partly)
    assert rows(other, EVERYTHING) == [(0, 0)]


def test_texts_without_a_place_are_counted_and_named_when_skipped(partly: Path, other: Engine) -> None:
    report = import_(other, partly, skip_bad=True)
    assert (report.read, report.imported, report.unknown_users, report.unknown_partitions) == (6, 3, 1, 2)
    assert [(left.line, left.user_id, left.partition_no, left.kind, left.reason) for left in report.bad] == [
        (5, "a", 3, "shift", "unknown partition"),
        (6, "a", 3, "summary", "unknown partition"),
        (7, "ü b", 1, "summary", "unknown user"),
    ]
    assert [row[:3] for row in rows(other, STORED)] == [("a", 1, "summary"), ("a", 2, "shift"), ("a", 2, "summary")]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE liber.behavior SET event_id = 'x' WHERE seq = 2",
        "UPDATE liber.behavior_partition SET last_seq = 2 WHERE partition_no = 1",
        "UPDATE liber.behavior SET event_id = CASE seq WHEN 1 THEN 'a-2' ELSE 'a-1' END || '~' WHERE seq < 3",
        "DELETE FROM liber.behavior",
    ],
)
def test_a_partition_with_another_content_gets_no_text(engine: Engine, tmp_path: Path, change: str) -> None:
    add_user(engine, "a", 1)
    with engine.begin() as connection:
        connection.execute(text(change))
    path = written(tmp_path / "k", [one()])
    with pytest.raises(InputError, match="user 'a': other content"):
        import_(engine, path)
    report = import_(engine, path, skip_bad=True)
    assert (report.imported, report.other_content) == (0, 1)
    assert rows(engine, EVERYTHING) == [(0, 0)]


def test_ids_that_join_to_the_same_characters_are_another_content(engine: Engine, tmp_path: Path) -> None:
    add_user(engine, "a", 1)
    ids = ["a-1", "a-2", "a-3"]
    for other_ids in (["a-1a-2", "a-3"], ["a-13:a-2", "a-3"], [*ids, ""], ["".join(ids)]):
        digest = hashlib.sha256("".join(f"{len(event)}:{event}" for event in other_ids).encode()).hexdigest()
        assert (
            import_(engine, written(tmp_path / "k", [one(partition_sha256=digest)]), skip_bad=True).other_content == 1
        )


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_text_is_never_replaced(engine: Engine, tmp_path: Path, skip_bad: bool) -> None:
    add_user(engine, "a", 2)
    import_(engine, written(tmp_path / "k", [one()]))
    before = rows(engine, STORED)
    digest = hashlib.sha256(b"3:a-43:a-53:a-6").hexdigest()
    more = [one(text="hates"), one(partition_no=2, partition_sha256=digest)]
    with pytest.raises(InputError, match=r"line 2: another summary of partition 1 of user 'a' .*\(1 such texts\)"):
        import_(engine, written(tmp_path / "k2", more), skip_bad=skip_bad)
    assert rows(engine, STORED) == before
    assert import_(engine, written(tmp_path / "k3", more, knowledge_version="kv2")).imported == 2


@pytest.mark.parametrize("field", ["model", "summary_prompt", "shift_prompt", "parameters", "recipe"])
def test_a_version_made_with_something_else_is_refused(engine: Engine, tmp_path: Path, field: str) -> None:
    add_user(engine, "a", 2)
    import_(engine, written(tmp_path / "k", [one()], recipe={"t": 1}))
    changed = {"recipe": {"t": 1}} | {field: {"x": 1} if field in ("parameters", "recipe") else "x/1"}
    with pytest.raises(InputError, match=f"'kv' is there already with another {field}"):
        import_(engine, written(tmp_path / "k", [one()], **changed))
    assert import_(engine, written(tmp_path / "k", [one()])).already_there == 1  # one that does not know its recipe


def test_texts_of_an_erased_user_are_counted_and_never_stored(learnt: Engine, twin: Engine, tmp_path: Path) -> None:
    path = export(learnt, tmp_path / "k").path
    erase(twin, "a")
    report = import_(twin, path)
    assert (report.read, report.refused, report.imported, report.bad) == (6, 5, 1, ())
    assert [row[0] for row in rows(twin, STORED)] == ["ü b"]
    assert rows(twin, "SELECT count(*) FROM liber.user_profile WHERE user_id = 'a'") == [(0,)]


GATE = """
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.partition_no = 3 THEN PERFORM pg_advisory_xact_lock(7); END IF;
    RETURN new;
END $$;
CREATE TRIGGER gate BEFORE INSERT ON liber.interest FOR EACH ROW EXECUTE FUNCTION gate();
"""
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = :kind"


@contextmanager
def gate(engine: Engine) -> Iterator[None]:
    """Imports stop within their insert, before partition 3, until the block ends."""
    with engine.begin() as connection:
        connection.connection.cursor().execute(GATE)
    with engine.connect() as held:
        held.execute(text("SELECT pg_advisory_lock(7)"))
        yield


def test_an_import_killed_midway_leaves_nothing(learnt: Engine, twin: Engine, tmp_path: Path) -> None:
    path = export(learnt, tmp_path / "k").path
    program = (
        "import sys; from liber_tasks import db; from liber_tasks.interest.files.knowledge_import import import_;"
        "import_(db.engine(sys.argv[1]), sys.argv[2])"
    )
    with gate(twin):
        url = twin.url.render_as_string(hide_password=False)
        child = subprocess.Popen([sys.executable, "-c", program, url, str(path)])
        until(lambda: child.poll() is not None or rows(twin, WAITING, kind="advisory") == [(1,)])
        assert child.poll() is None
        child.kill()
        child.wait()
    until(lambda: rows(twin, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") == [(1,)])
    assert rows(twin, EVERYTHING) == [(0, 0)]
    assert import_(twin, path).imported == 6


def test_an_erasure_waits_for_an_import_and_removes_what_it_stored(
    learnt: Engine, twin: Engine, tmp_path: Path
) -> None:
    path = export(learnt, tmp_path / "k").path
    with gate(twin):
        importing = threading.Thread(target=import_, args=(twin, path))
        importing.start()
        until(lambda: rows(twin, WAITING, kind="advisory") == [(1,)])
        erasing = threading.Thread(target=erase, args=(twin, "a"))
        erasing.start()
        until(lambda: rows(twin, WAITING, kind="advisory") == [(2,)])
    importing.join()
    erasing.join()
    assert [row[0] for row in rows(twin, STORED)] == ["ü b"]


def test_two_imports_at_once_store_each_text_once(learnt: Engine, twin: Engine, tmp_path: Path) -> None:
    path = export(learnt, tmp_path / "k").path
    counts: list[tuple[int, int]] = []

    def load() -> None:
        report = import_(twin, path)
        counts.append((report.imported, report.already_there))

    with gate(twin):
        both = [threading.Thread(target=load) for _ in range(2)]
        for one_of in both:
            one_of.start()
        until(lambda: rows(twin, WAITING, kind="advisory") == rows(twin, WAITING, kind="relation") == [(1,)])
    for one_of in both:
        one_of.join()
    assert sorted(counts) == [(0, 6), (6, 0)]
    assert rows(twin, STORED) == rows(learnt, STORED)


def test_an_export_that_fails_midway_leaves_the_file_that_was_there(
    learnt: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export(learnt, tmp_path / "k").path
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="no space left on device"):
        export(learnt, path)
    assert [file.name for file in tmp_path.iterdir()] == ["k"]
    assert path.read_bytes() == before


def test_a_file_compressed_by_somebody_else_is_read_too(learnt: Engine, twin: Engine, tmp_path: Path) -> None:
    plain = export(learnt, tmp_path / "k").path.read_bytes()
    (tmp_path / "named-otherwise").write_bytes(gzip.compress(plain[:700]) + gzip.compress(plain[700:]))
    assert import_(twin, tmp_path / "named-otherwise").imported == 6
