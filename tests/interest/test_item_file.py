"""Item knowledge files: texts about items leave one database and enter another, with the same bytes, or not at all."""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from liber_tasks import cli_knowledge
from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError
from liber_tasks.interest.files.item_format import ItemHeader
from liber_tasks.interest.files.knowledge_export import export, export_items
from liber_tasks.interest.files.knowledge_import import import_
from tests.interest.data import rows
from tests.interest.elsewhere_files import add_items, clean, nothing

STORED = ("SELECT i.item_id, k.knowledge_version, k.text, k.attributes_sha256, k.input_sha256, k.prompt_tokens,"
          " k.completion_tokens, k.latency_seconds, k.finish_reason"
          " FROM liber.item_knowledge k JOIN liber.item i USING (item_key) ORDER BY 1, 2")  # fmt: skip
VERSIONS = ("SELECT knowledge_version, model, summary_prompt, shift_prompt, item_prompt, parameters, recipe, registered"
            " FROM liber.knowledge_version ORDER BY 1")  # fmt: skip


def one(item_id: str = "a", **changes: Any) -> dict[str, Any]:
    """A line about an item."""
    whole = {"item_id": item_id, "text": f"about {item_id}", "attributes_sha256": "0" * 64, "input_sha256": "1" * 64,
             "prompt_tokens": 7, "completion_tokens": 9, "latency_seconds": 0.25, "finish_reason": "stop"}  # fmt: skip
    return whole | changes


def written(path: Path, texts: list[Any], /, **header: Any) -> Path:
    """A file of these texts whose digests are right."""
    lines = [line if isinstance(line, bytes) else (json.dumps(line) + "\n").encode() for line in texts]
    whole = {"knowledge_version": "iv", "model": "m", "item_prompt": "item/1", "parameters": {"b": 1, "a": [None]},
             "recipe": {"t": 1}, "registered": {"item": "prompts:/i/1"}, "texts": len(lines),
             "sha256": hashlib.sha256(b"".join(lines)).hexdigest()} | header  # fmt: skip
    path.write_bytes(ItemHeader(**whole).line() + b"".join(lines))
    return path


@pytest.mark.parametrize("name", ["k.jsonl", "k.jsonl.gz"])
def test_a_round_trip_gives_the_same_texts_and_the_same_bytes(
    engine: Engine, other: Engine, tmp_path: Path, name: str
) -> None:
    add_items(engine, "b", "a", "ü", "Z")
    add_items(other, "x", "Z", "ü", "a", "b")  # under other keys
    import_(engine, written(tmp_path / "by-hand", [one("Z"), one("a"), one("b"), one("ü")]))
    report = export_items(engine, tmp_path / name)
    found = import_(other, report.path)
    assert (report.texts, found.read, found.imported, found.bad) == (4, 4, 4, ())
    assert rows(other, STORED) == rows(engine, STORED)
    assert rows(other, VERSIONS) == rows(engine, VERSIONS)
    again = export_items(other, tmp_path / f"again-{name}")
    assert again.path.read_bytes() == report.path.read_bytes()
    assert again.sha256 == report.sha256


TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=60)
ENTRIES = st.dictionaries(
    TEXT.map("i".__add__),
    st.fixed_dictionaries({
        "text": TEXT.map("t".__add__),
        "attributes_sha256": st.none() | st.just("a" * 64),
        "input_sha256": st.none() | st.just("b" * 64),
        "prompt_tokens": st.none() | st.integers(0, 2**31 - 1),
        "completion_tokens": st.none() | st.integers(0, 2**31 - 1),
        "latency_seconds": st.none() | st.just(0.0) | st.floats(2.0**-100, 2.0**100, width=32),
        "finish_reason": st.none() | st.sampled_from(["stop", "length"]),
    }),
    min_size=1,
    max_size=6,
)  # fmt: skip


def as_real(entry: dict[str, Any]) -> dict[str, Any]:
    """The same with its seconds as PostgreSQL's real has them, whatever their digits."""
    seconds = entry["latency_seconds"]
    return entry | {"latency_seconds": None if seconds is None else struct.pack("f", seconds)}


def test_import_then_export_is_the_identity(engine: Engine, other: Engine, tmp_path: Path) -> None:
    @hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(ENTRIES)
    def check(entries: dict[str, dict[str, Any]]) -> None:
        for database in (engine, other):
            add_items(database, *sorted(entries, reverse=database is other))
            clean(database)
        texts = [one(item, **entries[item]) for item in sorted(entries, key=str.encode)]
        import_(engine, written(tmp_path / "first", texts))
        first = export_items(engine, tmp_path / "second").path.read_bytes()
        assert [as_real(json.loads(line)) for line in first.splitlines()[1:]] == [as_real(entry) for entry in texts]
        import_(other, tmp_path / "second")
        assert export_items(other, tmp_path / "third").path.read_bytes() == first
        assert rows(other, STORED) == rows(engine, STORED)

    check()


def test_a_second_import_changes_nothing(engine: Engine, tmp_path: Path) -> None:
    add_items(engine, "a", "b")
    path = written(tmp_path / "k", [one("a"), one("b")])
    import_(engine, path)
    state = "SELECT k::text, k.xmin::text FROM liber.item_knowledge k UNION ALL SELECT v::text, v.xmin::text"
    before = rows(engine, f"{state} FROM liber.knowledge_version v ORDER BY 1")
    again = import_(engine, path)
    assert (again.read, again.imported, again.already_there) == (2, 0, 2)
    assert rows(engine, f"{state} FROM liber.knowledge_version v ORDER BY 1") == before


def test_the_version_with_the_most_texts_is_exported_unless_one_is_named(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to export"):
        export_items(engine, tmp_path / "k")
    add_items(engine, "a", "b")
    import_(engine, written(tmp_path / "k", [one("a"), one("b")], knowledge_version="large"))
    import_(engine, written(tmp_path / "k", [one("a")], knowledge_version="newer"))
    assert export_items(engine, tmp_path / "k").knowledge_version == "large"
    assert export_items(engine, tmp_path / "k", knowledge_version="newer").texts == 1
    with pytest.raises(InputError, match="no text of knowledge version 'x': give one of large, newer"):
        export_items(engine, tmp_path / "k", knowledge_version="x")
    with pytest.raises(InputError, match="nothing to export"):
        export(engine, tmp_path / "k")  # of partitions there is none


REFUSED: list[tuple[list[Any], str]] = [
    ([one(text=" ")], "line 2: text is ' '"),
    ([one(text="x" * 65_537)], "line 2: text is"),
    ([one(attributes_sha256="0")], "line 2: attributes_sha256 is '0'"),
    ([one(latency_seconds=-1)], "line 2: latency_seconds is -1"),
    ([one(colour="red")], "line 2: 'colour' is no field"),
    ([{"item_id": "a"}], "line 2: text is missing"),
    ([one("a"), one("a")], "line 3: the text of item 'a' is there twice"),
    ([one("b"), one("a")], "line 3: the text of item 'a' is out of order"),
    ([b"{]\n"], "line 2: it is not JSON"),
    ([json.dumps(one()).encode()], "line 2: it is cut off"),
]


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_line_that_is_not_of_the_format_is_named_and_nothing_is_imported(
    engine: Engine, tmp_path: Path, skip_bad: bool
) -> None:
    add_items(engine, "a", "b")
    for texts, named in REFUSED:
        with pytest.raises(InputError, match=f"{named}.*Nothing was imported"):
            import_(engine, written(tmp_path / "k", texts), skip_bad=skip_bad)
        assert nothing(engine), named
    for header, named in (
        ({"texts": 2}, "says 2"),
        ({"sha256": "0" * 64}, "digest"),
        ({"item_prompt": ""}, "item_prompt"),
    ):
        with pytest.raises(InputError, match=named):
            import_(engine, written(tmp_path / "k", [one()], **header), skip_bad=skip_bad)
        assert nothing(engine), named


def test_every_byte_changed_in_a_file_is_found(engine: Engine, tmp_path: Path) -> None:
    add_items(engine, "a")
    whole = written(tmp_path / "k", [one("a")]).read_bytes()
    for place in range(0, len(whole), 7):
        (tmp_path / "k").write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(InputError, match="Nothing was imported"):
            import_(engine, tmp_path / "k", skip_bad=True)
    assert nothing(engine)


def test_texts_of_unknown_items_keep_the_others_out_unless_skipped(engine: Engine, tmp_path: Path) -> None:
    add_items(engine, "b")
    path = written(tmp_path / "k", [one("a"), one("b"), one("c")])
    with pytest.raises(
        InputError,
        match=r"line 2: this database has no place for the text of item 'a': unknown item \(in all: 2 unknown item\)"
        r".*ingest the same items.*--skip-bad",
    ):
        import_(engine, path)
    assert nothing(engine)
    report = import_(engine, path, skip_bad=True)
    assert (report.read, report.imported, report.unknown_items) == (3, 1, 2)
    assert [(bad.line, bad.item_id, bad.reason) for bad in report.bad] == [
        (2, "a", "unknown item"), (4, "c", "unknown item")]  # fmt: skip
    add_items(engine, "a", "c")
    assert (import_(engine, path).imported, len(rows(engine, STORED))) == (2, 3)


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_text_is_never_replaced(engine: Engine, tmp_path: Path, skip_bad: bool) -> None:
    add_items(engine, "a", "b")
    import_(engine, written(tmp_path / "k", [one("a")]))
    before = rows(engine, STORED)
    with pytest.raises(InputError, match=r"line 2: another text of item 'a' is stored already .*'iv' \(1 such texts\)"):
        import_(engine, written(tmp_path / "k", [one("a", text="else"), one("b")]), skip_bad=skip_bad)
    assert rows(engine, STORED) == before


@pytest.mark.parametrize("field", ["model", "item_prompt", "parameters", "recipe"])
def test_a_version_made_with_something_else_is_refused(engine: Engine, tmp_path: Path, field: str) -> None:
    add_items(engine, "a", "b")
    import_(engine, written(tmp_path / "k", [one("a")]))
    changed = {field: {"x": 1} if field in ("parameters", "recipe") else "x/1"}
    with pytest.raises(InputError, match=f"'iv' is there already with another {field}"):
        import_(engine, written(tmp_path / "k", [one("b")], **changed))
    assert len(rows(engine, STORED)) == 1


def test_a_text_that_no_import_would_take_is_not_exported(engine: Engine, tmp_path: Path) -> None:
    add_items(engine, "a")
    import_(engine, written(tmp_path / "k", [one("a")]))
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.item_knowledge SET text = ' '"))
    before = (tmp_path / "k").read_bytes()
    with pytest.raises(LiberError, match="text of item 'a' cannot be exported: text is ' '"):
        export_items(engine, tmp_path / "k")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir() if file.is_file()] == [("k", before)]


def test_commands_report_json_and_lines(
    engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_knowledge, "settings", lambda: settings)
    add_items(engine, "a", "b")
    path = str(tmp_path / "k.jsonl.gz")
    import_(engine, written(tmp_path / "by-hand", [one("a"), one("b")]))
    done = CliRunner().invoke(cli_knowledge.knowledge, ["export", path, "--items", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) | {"sha256": ""} == {
        "texts": 2, "knowledge_version": "iv", "sha256": "", "path": path}  # fmt: skip
    done = CliRunner().invoke(cli_knowledge.knowledge, ["import", path])
    assert done.exit_code == 0, done.output
    assert "already_there          2\n" in done.stdout
    done = CliRunner().invoke(cli_knowledge.knowledge, ["import", path, "--version", "mine"])
    assert isinstance(done.exception, InputError)
    assert "leave --version out" in str(done.exception)
