"""Promises of the formats: the same rows come to the same in each; MovieLens' and Amazon's own files are read."""

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from liber_tasks.behavior.checks import check
from liber_tasks.behavior.ingest import ingest
from liber_tasks.behavior.sources import LAYOUTS, Kind, find
from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from tests.behavior import state
from tests.behavior.files import behavior, write, write_jsonl, zipped

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def read(path: Path, kind: Kind = "behaviors", format: str | None = None) -> tuple[list[dict[str, Any]], list[Any]]:
    """Good rows, and (line, reason) of the rejected ones, by line."""
    good: list[dict[str, Any]] = []
    bad: list[tuple[int, str]] = []
    for block in find([path], format)[0].blocks(LAYOUTS[kind]):
        checked = check(block, kind, NOW + timedelta(days=1))
        good += checked.good.to_pylist()
        bad += [(row.line, row.reason) for row in checked.rejected]
    return good, sorted(bad)


def refused(path: Path, kind: Kind = "behaviors", format: str | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read(path, kind, format)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


# The same rows in every format

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
SPOILT = st.none() | TEXT | st.sampled_from(["\0", " ", "a" * 600, "é" * 300, '"', "a,b", "a\nb", "a\r\nb", "null"])
TIMES = SPOILT | st.sampled_from(["2024-05-01T10:00:00Z", "1714557600.25", "2024-02-30T00:00:00Z", "2030-01-01T00:00Z"])
NUMBERS = SPOILT | st.integers(-5, 5).map(str) | st.sampled_from(["1e3", "nan", "1e99", "-.5"])
BEHAVIORS = st.fixed_dictionaries({
    "event_id": TEXT | SPOILT, "user_id": TEXT | SPOILT, "item_id": SPOILT, "event_time": TIMES,
    "kind": st.sampled_from(["play", "rating", "sneeze"]) | SPOILT, "rating": NUMBERS, "play_seconds": NUMBERS,
    "context": SPOILT,
})  # fmt: skip
GOOD = {**dict.fromkeys(("rating", "play_seconds", "context")), **behavior(0), "play_seconds": "1"}
ITEMS = st.fixed_dictionaries({"item_id": SPOILT, "title": SPOILT, "cast": SPOILT, "year": SPOILT})


def in_every_format(rows: list[dict[str, Any]], kind: Kind) -> list[Any]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("e.jsonl", "e.csv", "e.parquet", "e.jsonl.gz", "e.csv.gz"):
            good, bad = read(write(Path(folder) / name, rows), kind)
            header = ".csv" in name
            found.append((
                [{**row, "line": row["line"] - header, **attributes_of(row)} for row in good],
                [(line - header, reason) for line, reason in bad],
            ))  # fmt: skip
    return found


def attributes_of(row: dict[str, Any]) -> dict[str, Any]:
    """The order of keys is the database's business."""
    return {"attributes": json.loads(row["attributes"])} if "attributes" in row else {}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(BEHAVIORS, max_size=8))
def test_any_behaviours_are_judged_alike_in_every_format(rows: list[dict[str, Any]]) -> None:
    rows = [{**row, "context": None} for row in rows]
    found = in_every_format([GOOD, *rows], "behaviors")
    assert found[0][0][0]["event_id"] == "e0"
    assert len(found[0][0]) + len(found[0][1]) == len(rows) + 1
    assert all(other == found[0] for other in found[1:])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ITEMS, max_size=8))
def test_any_items_are_judged_alike_in_every_format(rows: list[dict[str, Any]]) -> None:
    found = in_every_format([{"item_id": "i", "title": "t", "cast": "c", "year": "y"}, *rows], "items")
    assert len(found[0][0]) + len(found[0][1]) == len(rows) + 1
    assert all(other == found[0] for other in found[1:])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.dictionaries(TEXT, st.none() | TEXT | st.integers(-9, 9), max_size=3), min_size=1, max_size=5))
def test_contexts_are_the_same_objects_in_every_format(contexts: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [{**GOOD, "event_id": f"e{n}", "context": value} for n, value in enumerate(contexts)]
        texts = [{**row, "context": json.dumps(row["context"])} for row in rows]
        found = [
            [None if row["context"] is None else json.loads(row["context"]) for row in read(path)[0]]
            for path in (
                write(Path(folder) / "e.jsonl", rows),
                write(Path(folder) / "e.csv", texts),
                write(Path(folder) / "e.parquet", texts),
            )
        ]
    assert found[0] == found[1] == found[2]


# MovieLens

RATINGS = [("196", "242", "3", "881250949"), ("186", "302", "4.5", "891717742")]
RATING_ROWS = [
    {"line": 1, "event_id": "ml-196-242-881250949", "user_id": "196", "item_id": "242",
     "event_time": datetime(1997, 12, 4, 15, 55, 49, tzinfo=UTC), "kind": "rating", "rating": 3.0,
     "play_seconds": None, "context": None},
    {"line": 2, "event_id": "ml-186-302-891717742", "user_id": "186", "item_id": "302",
     "event_time": datetime(1998, 4, 4, 19, 22, 22, tzinfo=UTC), "kind": "rating", "rating": 4.5,
     "play_seconds": None, "context": None},
]  # fmt: skip


@pytest.mark.parametrize(("name", "separator"), [("u.data", "\t"), ("ratings.dat", "::"), ("ratings.csv", ",")])
@pytest.mark.parametrize("packed", [False, True])
def test_ratings_of_every_release_are_the_same_behaviours(
    tmp_path: Path, name: str, separator: str, packed: bool
) -> None:
    path = tmp_path / name
    header = "userId,movieId,rating,timestamp\n" if separator == "," else ""
    path.write_text(header + "".join(separator.join(row) + "\n" for row in RATINGS))
    good, bad = read(zipped(path) if packed else path)
    assert good == [{**row, "line": row["line"] + bool(header)} for row in RATING_ROWS]
    assert bad == []


def test_movies_of_every_release_have_title_year_and_genres(tmp_path: Path) -> None:
    flags = ["0"] * 19
    flags[5] = flags[3] = "1"
    files = {
        "u.item": "|".join(["1", "Cérémonie, La (1995) (V)", "01-Jan-1995", "", "http://x", *flags]).encode("latin-1"),
        "movies.dat": "1::Cérémonie, La (1995)::Comedy|Animation".encode("latin-1"),
        "movies.csv": 'movieId,title,genres\n1,"Cérémonie, La (1995)",Comedy|Animation'.encode(),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data + b"\r\n")
        ((item,), bad) = read(tmp_path / name, "items")
        assert (item["item_id"], item["title"], bad) == ("1", "Cérémonie, La", []), name
        assert json.loads(item["attributes"]) == {"year": 1995, "genres": ["Animation", "Comedy"]}, name
    (tmp_path / "movies.dat").write_text("2::Babylon 5::(no genres listed)\n", encoding="utf-8")
    assert json.loads(read(tmp_path / "movies.dat", "items")[0][0]["attributes"]) == {"genres": []}


def test_users_have_age_gender_and_the_name_of_their_occupation(tmp_path: Path) -> None:
    (tmp_path / "u.user").write_text("1|24|M|technician|85711\n")
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n2::M::56::99::70072\n")
    ((one,), _) = read(tmp_path / "u.user", "users")
    assert json.loads(one["attributes"]) == {"age": 24, "gender": "M", "occupation": "technician"}
    attributes = [json.loads(user["attributes"]) for user in read(tmp_path / "users.dat", "users")[0]]
    assert attributes[0] == {"age": 1, "gender": "F", "occupation": "school pupil", "age_group": "under 18"}
    assert attributes[1]["occupation"] == "99"


def test_a_ratings_csv_in_columns_of_ours_is_ours(tmp_path: Path) -> None:
    assert read(write(tmp_path / "ratings.csv", [behavior(3)]))[0][0]["event_id"] == "e3"
    assert "userId is missing" in refused(tmp_path / "ratings.csv", format="movielens")


def test_a_folder_of_movielens_gives_the_files_of_the_kind_and_a_name_alone_says_which_kind(tmp_path: Path) -> None:
    for name in ("ratings.dat", "movies.dat", "users.dat", "README"):
        (tmp_path / name).write_text("1::2::3::4\n")
    for kind, name in (("behaviors", "ratings.dat"), ("items", "movies.dat"), ("users", "users.dat")):
        assert [source.path.name for source in find([tmp_path], kind=kind)] == [name]  # type: ignore[arg-type]
    assert "holds items, not behaviors; give --kind items" in refused(tmp_path / "movies.dat")
    assert "none of MovieLens' files (u.data, " in refused(tmp_path / "README", format="movielens")


# Amazon

REVIEW_2018 = {
    "overall": 5.0, "verified": True, "reviewTime": "09 13, 2009", "reviewerID": "A1", "asin": "B001",
    "reviewerName": "x", "reviewText": "good", "summary": "s", "unixReviewTime": 1252800000, "style": {"Size:": "L"},
}  # fmt: skip
REVIEW_2023 = {
    "rating": 4.0, "title": "t", "text": "good", "images": [], "asin": "B00V", "parent_asin": "B00P", "user_id": "AG1",
    "timestamp": 1588687728923, "helpful_vote": 0, "verified_purchase": True,
}  # fmt: skip


@pytest.mark.parametrize("name", ["Books_5.json", "Books.jsonl", "Books.json.gz", "books.txt"])
def test_reviews_of_both_releases_are_behaviours(tmp_path: Path, name: str) -> None:
    format = "amazon" if name.endswith("txt") else None
    plain = write_jsonl(tmp_path / name.removesuffix(".gz"), [REVIEW_2018])
    ((old,), bad) = read(zipped(plain) if name.endswith("gz") else plain, format=format)
    assert (old["event_id"], old["user_id"], old["item_id"], old["rating"], old["event_time"], old["kind"], bad) == (
        "az-B001-1252800000", "A1", "B001", 5.0, datetime(2009, 9, 13, tzinfo=UTC), "rating", []
    )  # fmt: skip
    ((new,), bad) = read(write_jsonl(plain, [REVIEW_2023]), format=format)
    assert (new["event_id"], new["user_id"], new["item_id"], new["rating"], bad) == (
        "az-B00V-1588687728.923", "AG1", "B00P", 4.0, []
    )  # fmt: skip
    assert new["event_time"] == datetime(2020, 5, 5, 14, 8, 48, 923_000, tzinfo=UTC)


def test_metadata_of_both_releases_are_items(tmp_path: Path) -> None:
    old = {"asin": "B001", "title": "Salt &amp; Pepper ", "brand": "Acme", "category": ["Home", "Kitchen &amp; Bath"],
           "description": ["one", "two " + "x" * 5000], "price": "$1,012.99", "main_cat": "Home",
           "also_buy": ["B9"], "rank": "1"}  # fmt: skip
    new = {"parent_asin": "B00P", "title": "Case", "store": "Acme", "categories": [], "description": [],
           "price": None, "main_category": "Phones", "features": ["slim"], "average_rating": 4.5,
           "images": [{"large": "http://x"}]}  # fmt: skip
    ((one,), _) = read(write_jsonl(tmp_path / "meta_Home.json", [old]), "items")
    attributes = json.loads(one["attributes"])
    assert (one["item_id"], one["title"], len(attributes.pop("description"))) == ("B001", "Salt & Pepper", 2000)
    assert attributes == {"brand": "Acme", "main_category": "Home", "categories": ["Home", "Kitchen & Bath"],
                          "price": 1012.99}  # fmt: skip
    ((two,), _) = read(write_jsonl(tmp_path / "meta_Phones.jsonl", [new]), "items")
    assert two["item_id"] == "B00P"
    assert json.loads(two["attributes"]) == {"brand": "Acme", "main_category": "Phones", "features": "slim"}


def test_amazon_of_another_kind_says_which_kind_it_is(tmp_path: Path) -> None:
    reviews = write_jsonl(tmp_path / "r.jsonl", [REVIEW_2018])
    products = write_jsonl(tmp_path / "m.jsonl", [{"asin": "B", "title": "t", "brand": "b"}])
    assert "no users" in refused(reviews, "users")
    assert "metadata need --kind items" in refused(products)
    assert "reviews need --kind behaviors" in refused(reviews, "items")


def test_a_review_that_is_in_two_files_counts_once(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    one = write_jsonl(tmp_path / "Books.json", [REVIEW_2018, {**REVIEW_2018, "asin": "B002"}])
    two = write_jsonl(tmp_path / "Books_5.json", [{**REVIEW_2018, "vote": "3"}])
    (tmp_path / "u.data").write_text("196\t242\t3\t881250949\n")
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n196,242,3.0,881250949\n")
    counts = [
        (report.accepted, report.duplicates)
        for path in (one, two, tmp_path / "u.data", tmp_path / "ratings.csv")
        for report in (ingest(engine, settings, [path]),)
    ]
    assert counts == [(2, 0), (0, 1), (1, 0), (0, 1)]
    assert len(state.stream(engine)) == 3


@settings(max_examples=40, deadline=None)
@given(st.lists(BEHAVIORS, max_size=8), st.integers(1, 300))
def test_the_size_of_the_pieces_a_file_is_read_in_changes_nothing(rows: list[dict[str, Any]], size: int) -> None:
    rows = [GOOD, *({**row, "context": None} for row in rows)]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for name, module in (("e.jsonl", "jsonl"), ("e.csv", "tables")):
            path = write(Path(folder) / name, rows)
            whole = read(path)
            patch.setattr(f"liber_tasks.behavior.files.{module}.BLOCK_BYTES", size)
            assert read(path) == whole
