"""What a knowledge file may hold: everything else is named by its line, and nothing is imported."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from liber_tasks.errors import InputError
from liber_tasks.interest.files.knowledge_format import KINDS, Text, read_header, read_text
from liber_tasks.interest.files.knowledge_import import import_
from tests.interest.data import add_user, rows
from tests.interest.knowledge_files import EVERYTHING, one, written

REFUSED: list[tuple[list[Any], str]] = [
    ([one(text="")], "line 2: text is ''"),
    ([one(text=" \n")], "line 2: text is"),
    ([one(text="x" * 65_537)], "line 2: text is"),
    ([one(text="雪" * 21_846)], "line 2: text is"),
    ([one(text="a\0b")], "line 2: text is"),
    ([one(text="\ud800")], "line 2: text is"),
    ([one(), one(partition_no=2, text=7)], "line 3: text is 7"),
    ([one(kind="mood")], "line 2: kind is 'mood', not one of summary, shift"),
    ([one(kind="shift")], "line 2: partition 1 has no shift"),
    ([one(partition_no=0)], "line 2: partition_no is 0"),
    ([one(partition_no=True)], "line 2: partition_no is True"),
    ([one(prompt_tokens=2**31)], "line 2: prompt_tokens is 2147483648"),
    ([one(left_out=-1)], "line 2: left_out is -1"),
    ([one(latency_seconds=float("nan"))], "line 2: latency_seconds is nan"),
    ([one(latency_seconds=1e39)], "line 2: latency_seconds is 1e.39"),
    ([one(latency_seconds=1e-50)], "line 2: latency_seconds is 1e-50"),
    ([one(partition_sha256="0")], "line 2: partition_sha256 is '0'"),
    ([one(colour="red")], "line 2: 'colour' is no field"),
    ([{"user_id": "a"}], "line 2: partition_no is missing"),
    ([one(), one()], "line 3: the summary of partition 1 of user 'a' is there twice"),
    ([one(user_id="b"), one()], "line 3: the summary of partition 1 of user 'a' is out of order"),
    ([b"[1]\n"], "line 2: it is not a JSON object"),
    ([b"{]\n"], "line 2: it is not JSON"),
    ([b'{"text": "\xff"}\n'], "line 2: it is not JSON in UTF-8"),
    ([b'{"text": "a", "text": "b"}\n'], "line 2: it is not JSON in UTF-8, or names a field twice"),
    ([b"[" * 100_000 + b"\n"], "line 2: it is not JSON"),
    ([json.dumps(one()).encode()], "line 2: it is cut off"),
    ([b'"' + b"x" * 600_000 + b"\n"], "line 2: it is longer"),
]


def test_a_line_that_is_not_of_the_format_is_named(engine: Engine, tmp_path: Path) -> None:
    add_user(engine, "a", 3)
    for texts, named in REFUSED:
        for skip_bad in (False, True):
            with pytest.raises(InputError, match=f"{named}.*Nothing was imported"):
                import_(engine, written(tmp_path / "k", texts), skip_bad=skip_bad)
        assert rows(engine, EVERYTHING) == [(0, 0)], named


UNTRUE: list[tuple[dict[str, Any], str]] = [
    ({"texts": 2}, "line 3: the file ends after 1 texts, and its header says 2"),
    ({"texts": 0}, "line 3: the file ends after 1 texts, and its header says 0"),
    ({"sha256": "0" * 64}, "line 3: .* digest"),
    ({"sha256": "x"}, "line 1: sha256 is 'x'"),
    ({"model": ""}, "line 1: model is ''"),
    ({"parameters": None}, "line 1: parameters is None"),
    ({"parameters": {"a": "\0"}}, "line 1: parameters is"),
    ({"recipe": []}, "line 1: recipe is"),
    ({"registered": {"summary": 3}}, "line 1: registered is"),
]


def test_a_header_that_is_not_true_is_named(engine: Engine, tmp_path: Path) -> None:
    add_user(engine, "a", 1)
    for header, named in UNTRUE:
        with pytest.raises(InputError, match=named):
            import_(engine, written(tmp_path / "k", [one()], **header))
        assert rows(engine, EVERYTHING) == [(0, 0)], named


def test_a_file_that_is_none_is_told_apart(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "k"
    for content, named in (
        (b"", "no header"),
        (b"[]\n", "no header"),
        (b"PK\3\4", "no header"),
        (b'{"format": "parquet"}\n', "format is 'parquet'"),
        (b'{"format": "' + b"x" * 100_000 + b'"}\n', "format is 'x{56}[.]{3},"),
        (b'{"format": "liber-knowledge", "format_version": 2}\n', "digest"),
        (b"\x1f\x8b\x08", "compressed data are damaged"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"line 1: .*{named}"):
            import_(engine, path)
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            import_(engine, missing)


def test_every_flipped_bit_of_a_header_and_a_line_is_found(tmp_path: Path) -> None:
    path = written(tmp_path / "k", [one(text="like ü")])
    header, line = path.read_bytes().splitlines(keepends=True)
    want = read_header(header).sha256
    for place in range(len(header)):
        for bit in range(8):
            with pytest.raises(ValueError):  # noqa: PT011
                read_header(header[:place] + bytes([header[place] ^ 1 << bit]) + header[place + 1 :])
    assert hashlib.sha256(line).hexdigest() == want


TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=200)


@hypothesis_settings(max_examples=100, deadline=None)
@given(
    st.builds(
        Text,
        user_id=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=50).map(
            "u".__add__
        ),
        partition_no=st.integers(2, 2**31 - 1),
        kind=st.sampled_from(KINDS),
        partition_sha256=st.just("0" * 64),
        text=TEXTS.map("t".__add__),
        input_sha256=st.just("f" * 64),
        left_out=st.integers(0, 2**31 - 1),
        prompt_tokens=st.none() | st.integers(0, 2**31 - 1),
        completion_tokens=st.none() | st.integers(0, 2**31 - 1),
        latency_seconds=st.floats(0, 2.0**100, width=32).filter(lambda value: value == 0 or value > 1e-37),
        finish_reason=st.none() | st.sampled_from(["stop", "length"]),
    )
)
def test_a_line_is_read_as_it_was_written(entry: Text) -> None:
    line = entry.line()
    assert line.count(b"\n") == 1
    assert read_text(line) == entry
