"""Bad lines of a file made elsewhere: each is named and counted by its reason, and keeps the others out."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from liber_tasks.errors import InputError
from liber_tasks.interest.files.knowledge_import import import_
from liber_tasks.interest.files.made_elsewhere import Refused, Subject, read_line
from tests.interest.elsewhere_files import clean, item, nothing, part, without, written

BAD_ITEMS: list[tuple[Any, str, str]] = [
    (item("x"), "unknown item", "no place for the text of item 'x'"),
    (item("a"), "duplicate", "line 1 is about the same"),
    (item("a", text="other words"), "duplicate", "line 1 is about the same"),
    (item("b", text=""), "empty", "text is blank"),
    (item("b", text=" \n\u3000"), "empty", "text is blank"),
    (item("b", text="x" * 65_537), "oversized", "text is longer than 65536 bytes"),
    (item("b", text="雪" * 21_846), "oversized", "text is longer than 65536 bytes"),
    (b'{"item_id": "b", "text": "' + b"x" * 2_000_000 + b'", "model": "org/m 1"}\n', "oversized", "the line is longer"),
    (item("b", kind="summary"), "wrong kind", "kind is 'summary', not item"),
    (item("b", kind=["item"]), "wrong kind", "kind is ['item'], not item"),
    (part(), "malformed", "item_id is missing"),
    (without(item("b"), "text"), "malformed", "text is missing"),
    (without(item("b"), "model"), "malformed", "model is missing"),
    (item("b", model=""), "malformed", "model is ''"),
    (item("b", text=None), "malformed", "text is None"),
    (item("b", text=["x"]), "malformed", "text is ['x']"),
    (item(7), "malformed", "item_id is 7, not an id in quotes"),
    (item(""), "malformed", "item_id is ''"),
    (item("\ud800"), "malformed", "item_id is '\\ud800'"),
    (item("b", text="a\0b"), "malformed", "text holds NUL"),
    (item("b", text="half \udc00"), "malformed", "text holds NUL or half of a surrogate pair"),
    (b'{"item_id": "b", \0"text": "t"}\n', "malformed", "it is not JSON"),
    (b'{"item_id": "b", "text": "\xff"}\n', "malformed", "it is not JSON in UTF-8"),
    (b'{"item_id": "b", "text": "t", "text": "u"}\n', "malformed", "names a field twice"),
    (b'{"item_id": "b", "text": "t"\n', "malformed", "it is not JSON"),
    (b'["b", "t"]\n', "malformed", "it is not a JSON object"),
    (b"null\n", "malformed", "it is not a JSON object"),
    (b"[" * 100_000 + b"\n", "malformed", "it is not JSON"),
    (b'{"item_id": "b", "text": "t", "x": ' + b"9" * 10_000 + b"}\n", "malformed", "it is not JSON"),
    (b'{"item_id": ' + b"9" * 4_000 + b', "text": "t"}\n', "malformed", "item_id is 999"),
]
BAD_PARTITIONS: list[tuple[Any, str, str]] = [
    (part("x"), "unknown user", "no place for the summary of partition 1 of user 'x'"),
    (part("u", 4), "unknown partition", "no place for the summary of partition 4 of user 'u'"),
    (part(), "duplicate", "line 1 is about the same"),
    (part("u", 2, "mood"), "wrong kind", "kind is 'mood', not summary or shift"),
    (part("u", 2, "item"), "wrong kind", "kind is 'item', not summary or shift"),
    (without(part("u", 2), "kind"), "wrong kind", "kind is missing, not summary or shift"),
    (part("u", 1, "shift"), "wrong kind", "partition 1 has no shift"),
    (part("u", 2, text="\t"), "empty", "text is blank"),
    (part("u", 2, text="x" * 65_537), "oversized", "text is longer"),
    (item("a"), "malformed", "user_id is missing"),
    (without(part("u", 2), "partition_no"), "malformed", "partition_no is missing"),
    (part("u", 0), "malformed", "partition_no is 0"),
    (part("u", "2"), "malformed", "partition_no is '2'"),
    (part("u", True), "malformed", "partition_no is True"),
    (part("u", 2.0), "malformed", "partition_no is 2.0"),
    (part("u", 2**31), "malformed", "partition_no is 2147483648"),
    (part("u", 10**400), "malformed", "partition_no is 1000"),
]
FIELDS = {"unknown item": "unknown_items", "unknown user": "unknown_users", "unknown partition": "unknown_partitions",
          "duplicate": "duplicates", "empty": "empty", "oversized": "oversized", "wrong kind": "wrong_kind",
          "malformed": "malformed"}  # fmt: skip


@pytest.mark.parametrize(
    ("good", "bad"), [(item("a"), BAD_ITEMS), (part(), BAD_PARTITIONS)], ids=["items", "partitions"]
)
def test_a_bad_line_is_named_counted_and_keeps_the_others_out_unless_skipped(
    items: Engine, users: Engine, tmp_path: Path, good: dict[str, Any], bad: list[tuple[Any, str, str]]
) -> None:
    for line, reason, named in bad:
        last = item("ü c") if "item_id" in good else part("v")
        path = written(tmp_path / "k", [good, line, last])
        with pytest.raises(InputError) as refused:
            import_(items, path)
        message = str(refused.value)
        assert message.startswith(f"{path}, line 2: "), named
        assert named in message
        assert f"(in all: 1 {reason}). Nothing was imported" in message
        assert "\n" not in message
        assert len(message) < 500
        assert nothing(items), named
        report = import_(items, path, skip_bad=True)
        assert (report.read, report.imported, getattr(report, FIELDS[reason])) == (3, 2, 1), named
        assert sum(getattr(report, field) for field in FIELDS.values()) == 1, named
        assert [(found.line, found.reason) for found in report.bad] == [(2, reason)]
        assert named in str(report.bad[0])
        clean(items)


def test_the_first_twenty_bad_lines_are_named_and_all_are_counted(items: Engine, tmp_path: Path) -> None:
    lines = [item("a"), *(line for n in range(20) for line in (item(f"x{n}"), b"{\n", item("a", text=" ")))]
    path = written(tmp_path / "k", lines)
    with pytest.raises(InputError, match=r"line 2: .*\(in all: 20 unknown item, 20 empty, 20 malformed\)"):
        import_(items, path)
    report = import_(items, path, skip_bad=True)
    assert (report.read, report.imported) == (61, 1)
    assert (report.unknown_items, report.malformed, report.empty) == (20, 20, 20)
    assert [bad.line for bad in report.bad] == list(range(2, 22))


def test_a_line_behind_one_that_is_too_long_keeps_its_number(items: Engine, tmp_path: Path) -> None:
    giant = b'{"item_id": "b", "text": "' + b"x" * 3_000_000
    for lines, numbers in (
        ([item("a"), giant + b"\n", b"{\n", item("b")], [2, 3]),
        ([item("a"), b" " * 600_000 + b"\n", item("x")], [2, 3]),
        ([item("a"), giant], [2]),
    ):
        report = import_(items, written(tmp_path / "k", lines), skip_bad=True)
        assert [bad.line for bad in report.bad] == numbers


WORDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9), lambda inner:
                    st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3))  # fmt: skip


NAMES = ("item_id", "user_id", "partition_no", "kind", "text", "model", "title")


@hypothesis_settings(max_examples=300, deadline=None)
@given(st.sampled_from(["items", "partitions"]), st.dictionaries(st.sampled_from(NAMES), JSON | WORDS))
def test_any_object_is_a_text_or_refused_for_a_reason(subject: Subject, entry: dict[str, Any]) -> None:
    refused = None
    try:
        found = read_line(json.dumps(entry).encode(), subject, None)
    except Refused as error:
        refused = error
    if refused is None:
        assert (found.text, found.model) == (entry["text"], entry["model"])
        assert found.kind == (None if subject == "items" else entry["kind"])
    else:
        assert refused.reason in FIELDS
        assert refused.detail.isprintable()  # so it can be stored, too
