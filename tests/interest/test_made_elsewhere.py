"""Texts made elsewhere: plain JSON Lines about items or partitions, taken whole, or their bad lines told by reason."""

import gzip
import hashlib
import json
import random
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from typer.testing import CliRunner

from liber_tasks import cli_knowledge
from liber_tasks.behavior.erase import erase
from liber_tasks.config import Settings
from liber_tasks.db import query
from liber_tasks.errors import InputError
from liber_tasks.interest.files.knowledge_export import export, export_items
from liber_tasks.interest.files.knowledge_import import import_
from liber_tasks.interest.files.made_elsewhere import subject_of
from liber_tasks.interest.timeline import timeline
from tests.interest.data import rows
from tests.interest.elsewhere_files import (
    HOSTILE,
    ITEMS,
    PARTITIONS,
    add_items,
    clean,
    item,
    nothing,
    part,
    without,
    written,
)
from tests.interest.knowledge_files import until
from tests.interest.test_item_file import STORED, VERSIONS


@pytest.mark.parametrize("packed", [False, True])
def test_texts_about_items_are_stored_as_they_are(items: Engine, tmp_path: Path, packed: bool) -> None:
    path = written(tmp_path / "k.jsonl", [item("ü c", text=HOSTILE), item("a", kind="item"), item("b")])
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    report = import_(items, path)
    assert (report.read, report.imported, report.bad) == (3, 3, ())
    assert rows(items, ITEMS) == [("a", "about a"), ("b", "about b"), ("ü c", HOSTILE)]
    assert {tuple(row[3:]) for row in rows(items, STORED)} == {(None,) * 6}
    ((name, model, summary, shift, prompt, parameters, recipe, registered),) = rows(items, VERSIONS)
    assert (model, summary, shift, parameters, recipe, registered) == ("org/m 1", None, None, {}, None, {})
    assert re.fullmatch(r"m-1-items-elsewhere-[0-9a-f]{10}", name)
    assert name == report.knowledge_version
    assert prompt == f"elsewhere/{name[-10:-2]}"


def test_texts_about_partitions_are_stored_as_they_are(users: Engine, tmp_path: Path) -> None:
    report = import_(users, written(tmp_path / "k", [part(), part("u", 2), part("u", 2, "shift", text=HOSTILE)]))
    assert (report.read, report.imported, report.bad) == (3, 3, ())
    assert rows(users, PARTITIONS) == [
        ("u", 1, "summary", "summary 1"), ("u", 2, "shift", HOSTILE), ("u", 2, "summary", "summary 2")]  # fmt: skip
    ((name, model, summary, shift, prompt, parameters, recipe, _),) = rows(users, VERSIONS)
    assert re.fullmatch(r"m-elsewhere-[0-9a-f]{10}", name)
    assert (model, prompt, parameters, recipe) == ("m", None, {}, None)
    assert summary == shift == f"elsewhere/{name[-10:-2]}"
    assert rows(users, "SELECT DISTINCT left_out, latency_seconds, prompt_tokens FROM liber.interest") == [(0, 0, None)]


def test_where_a_file_has_no_shift_none_is_waited_for(users: Engine, tmp_path: Path) -> None:
    def waiting(lines: list[Any]) -> tuple[list[int], list[bool]]:
        version = import_(users, written(tmp_path / "k", lines)).knowledge_version
        pending = rows(users, query("encoder/pending").text, knowledge_version=version, encoder_version="e")
        entries = timeline(users, "u", knowledge_version=version)
        return [row.partition_no for row in pending], [entry.with_shift for entry in entries if entry.summary]

    without_shift = [part(), part("u", 2), part("u", 3)]
    assert waiting(without_shift) == ([1, 2, 3], [False, False, False])
    assert rows(users, "SELECT pending FROM liber.pipeline_status WHERE stage = 'encode'") == [(3,)]
    clean(users)
    assert waiting([*without_shift, part("u", 2, "shift")]) == ([1, 2], [True, True, True])
    assert rows(users, "SELECT pending FROM liber.pipeline_status WHERE stage = 'encode'") == [(2,)]


def test_a_second_import_changes_nothing_whatever_the_order_of_the_lines(
    items: Engine, users: Engine, tmp_path: Path
) -> None:
    state = ("SELECT x::text, x.xmin::text FROM liber.item_knowledge x UNION ALL"
             " SELECT x::text, x.xmin::text FROM liber.interest x UNION ALL"
             " SELECT x::text, x.xmin::text FROM liber.knowledge_version x ORDER BY 1")  # fmt: skip
    for lines in ([item("a"), item("b"), item("ü c")], [part(), part("u", 2), part("u", 2, "shift"), part("v")]):
        first = import_(items, written(tmp_path / "k", lines))
        before = rows(items, state)
        for seed in range(4):
            random.Random(seed).shuffle(lines)
            fields = [without(line, "title") | {"rating": seed} for line in lines]
            again = import_(items, written(tmp_path / "k", fields))
            assert (again.imported, again.already_there) == (0, len(lines))
            assert again.knowledge_version == first.knowledge_version
        assert rows(items, state) == before


def test_other_words_or_another_model_are_another_version(items: Engine, tmp_path: Path) -> None:
    files = ([item("a")], [item("b")], [item("a", text="x")], [item("a", model="x/m 1")], [item("a"), item("b")])
    names = {import_(items, written(tmp_path / "k", lines)).knowledge_version for lines in files}
    assert len(names) == 5


def test_a_version_can_be_named_and_never_mixes(items: Engine, tmp_path: Path) -> None:
    path = written(tmp_path / "k", [item("a")])
    assert import_(items, path, version="mine").knowledge_version == "mine"
    before = rows(items, STORED)
    assert import_(items, path, version="mine").already_there == 1
    for lines, named in (
        ([item("b"), item("a", text="other words")], "line 2: another text of item 'a' is stored already .*'mine'"),
        ([item("b")], "'mine' is there already with another item_prompt"),
        ([item("a", model="other")], "'mine' is there already with another model"),
    ):
        for skip_bad in (False, True):
            with pytest.raises(InputError, match=f"{named}.*Nothing was imported"):
                import_(items, written(tmp_path / "k", lines), version="mine", skip_bad=skip_bad)
    assert rows(items, STORED) == before


def test_one_file_is_of_one_model(items: Engine, tmp_path: Path) -> None:
    nameless = [without(item("a"), "model"), item("b", model=None)]
    assert import_(items, written(tmp_path / "k", nameless), model="given").imported == 2
    assert rows(items, "SELECT model FROM liber.knowledge_version") == [("given",)]
    for lines, model, named in (
        ([item("a"), item("b", model="n")], None, "line 2: model is 'n', and line 1 says 'org/m 1'"),
        ([item("a")], "n", "line 1: model is 'org/m 1', and --model says 'n'"),
        ([item("a"), *nameless[:1]], None, "line 2: malformed: model is missing: .*--model"),
    ):
        with pytest.raises(InputError, match=f"{named}.*Nothing was imported"):
            import_(items, written(tmp_path / "k", lines), model=model)
    assert import_(items, written(tmp_path / "k", [item("a"), without(item("b"), "model")]), model="org/m 1").read == 2
    for option in ({"version": ""}, {"model": "\0"}, {"version": "x" * 1_001}):
        with pytest.raises(InputError, match=f"--{next(iter(option))} is .*no name"):
            import_(items, written(tmp_path / "k", nameless), **option)


def test_of_lines_about_the_same_the_first_good_one_counts(items: Engine, tmp_path: Path) -> None:
    path = written(tmp_path / "k", [item("a", text=""), item("a", text="first"), item("a", text="second")])
    report = import_(items, path, skip_bad=True)
    assert (report.imported, report.empty, report.duplicates) == (1, 1, 1)
    assert rows(items, ITEMS) == [("a", "first")]
    assert import_(items, written(tmp_path / "k", [item("a", text="first")])).already_there == 1


def test_an_item_that_comes_later_gets_its_text_from_the_same_file(items: Engine, tmp_path: Path) -> None:
    path = written(tmp_path / "k", [item("a"), item("later")])
    first = import_(items, path, skip_bad=True)
    add_items(items, "later")
    again = import_(items, path)
    assert (again.imported, again.already_there) == (1, 1)
    assert again.knowledge_version == first.knowledge_version


def test_blank_lines_marks_and_ends_of_other_systems_do_not_matter(items: Engine, tmp_path: Path) -> None:
    name = import_(items, written(tmp_path / "k", [item("a"), item("b")])).knowledge_version
    plain = (tmp_path / "k").read_bytes()
    for changed in (b"\xef\xbb\xbf" + plain, plain.replace(b"\n", b"\r\n"), plain + b"\n \n", plain.rstrip(b"\n")):
        (tmp_path / "k").write_bytes(changed)
        again = import_(items, tmp_path / "k")
        assert (again.read, again.already_there, again.knowledge_version) == (2, 2, name)


def test_damaged_compressed_data_are_never_half_a_file(items: Engine, tmp_path: Path) -> None:
    lines = [item("a"), item("b", text=hashlib.sha256(b"x").hexdigest() * 900)]
    whole = gzip.compress(written(tmp_path / "k", lines).read_bytes())
    for content in (whole[:-9], whole[: len(whole) // 2], whole[:-4] + b"abcd"):
        (tmp_path / "k").write_bytes(content)
        with pytest.raises(InputError, match=r"compressed data are damaged.*Nothing was imported"):
            import_(items, tmp_path / "k", skip_bad=True)
        assert nothing(items)


@pytest.mark.parametrize("table", ["item_knowledge", "interest", "knowledge_version"])
def test_a_crash_midway_leaves_nothing(items: Engine, users: Engine, tmp_path: Path, table: str) -> None:
    path = written(tmp_path / "k", [part(), part("u", 2)] if table == "interest" else [item("a"), item("b")])

    def crash(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if f"INSERT INTO liber.{table}" in statement:
            raise RuntimeError("killed")

    event.listen(items, "after_cursor_execute", crash)
    with pytest.raises(RuntimeError, match="killed"):
        import_(items, path)
    event.remove(items, "after_cursor_execute", crash)
    assert nothing(items)
    assert import_(items, path).imported == 2


def test_texts_of_an_erased_user_are_counted_and_never_stored_or_named(users: Engine, tmp_path: Path) -> None:
    erase(users, "u")
    report = import_(users, written(tmp_path / "k", [part(), part(), part("u", 2, "shift"), part("v")]))
    assert (report.read, report.refused, report.imported, report.bad) == (4, 3, 1, ())
    assert rows(users, PARTITIONS) == [("v", 1, "summary", "summary 1")]


def test_what_was_made_elsewhere_goes_on_as_a_file_of_our_own(items: Engine, users: Engine, tmp_path: Path) -> None:
    import_(items, written(tmp_path / "k", [item("ü c"), item("a", text=HOSTILE)]))
    import_(users, written(tmp_path / "k", [part(), part("u", 2), part("v")]))
    texts = export(users, tmp_path / "texts").path, export_items(items, tmp_path / "items").path
    before = [rows(items, statement) for statement in (ITEMS, PARTITIONS, VERSIONS)]
    clean(items)
    assert [import_(items, path).imported for path in texts] == [3, 2]
    assert [rows(items, statement) for statement in (ITEMS, PARTITIONS, VERSIONS)] == before


def test_the_first_line_says_which_sort_a_file_is(items: Engine, tmp_path: Path) -> None:
    assert subject_of(json.dumps(item()).encode()) == "items"
    assert subject_of(json.dumps(part()).encode()) == "partitions"
    for line in (
        b"",
        b"[]",
        b"{",
        b'{"format": "liber-knowledge", "user_id": "u"}',
        b'{"text": "t"}',
        b"\xff",
        b"[" * 99_999,
    ):
        assert subject_of(line) is None
        with pytest.raises(InputError, match=r"line 1: .*Nothing was imported"):
            import_(items, written(tmp_path / "k", [line + b"\n", item("a")]), skip_bad=True)


WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"


def test_an_import_waits_for_whoever_is_storing_texts_about_items(items: Engine, tmp_path: Path) -> None:
    path = written(tmp_path / "k", [item("a"), item("b")])
    import_(items, path)
    with items.begin() as connection:
        connection.execute(text("DELETE FROM liber.item_knowledge"))
    with ThreadPoolExecutor() as pool:
        with items.begin() as learner:
            learner.execute(
                text(
                    "INSERT INTO liber.item_knowledge (item_key, knowledge_version, text)"
                    " SELECT i.item_key, v.knowledge_version, 'about a' FROM liber.item i, liber.knowledge_version v"
                    " WHERE i.item_id = 'a'"
                )
            )
            importing = pool.submit(import_, items, path)
            until(lambda: rows(items, WAITING) == [(1,)])
        assert (importing.result().already_there, importing.result().imported) == (1, 1)


def test_the_command_takes_both_sorts(
    items: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_knowledge, "settings", lambda: settings)
    path = str(written(tmp_path / "k", [without(item("a"), "model"), without(item("x"), "model")]))
    command = ["import", path, "--model", "m", "--version", "mine"]
    done = CliRunner().invoke(cli_knowledge.knowledge, command)
    assert isinstance(done.exception, InputError)
    assert "line 2: " in str(done.exception)
    assert nothing(items)
    done = CliRunner().invoke(cli_knowledge.knowledge, [*command, "--skip-bad", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["knowledge_version"], report["read"], report["imported"], report["unknown_items"]) == (
        "mine",
        2,
        1,
        1,
    )
    assert report["bad"][0] | {"detail": 0} == {"line": 2, "reason": "unknown item", "item_id": "x", "user_id": None,
                                                "partition_no": None, "kind": None, "detail": 0}  # fmt: skip
    done = CliRunner().invoke(cli_knowledge.knowledge, [*command, "--skip-unmatched"])
    assert "already_there          1\n" in done.stdout
