"""Promises of MovieLens-100K: the same rows from either copy, complete or not at all. The download is a real one."""

import json
import shutil
import socket
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy import Engine

from liber_tasks.behavior import movielens
from liber_tasks.behavior.ingest import ingest
from liber_tasks.behavior.movielens import MovieLens, obtain
from liber_tasks.config import Settings
from liber_tasks.errors import InputError, ServiceUnavailable
from tests.behavior import state

GENRES = ["unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
          "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War",
          "Western"]  # fmt: skip


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory: pytest.TempPathFactory) -> MovieLens:
    return obtain(Settings(_env_file=None), tmp_path_factory.mktemp("movielens"))  # type: ignore[call-arg]


def parsed(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def grouplens(downloaded: MovieLens, tmp_path: Path) -> Path:
    """The same data in the files and the spelling of GroupLens' archive."""
    folder = tmp_path / "archive" / "ml-100k"
    folder.mkdir(parents=True)

    def write(name: str, lines: list[list[Any]], separator: str) -> None:
        text = "".join(separator.join(map(str, line)) + "\n" for line in lines)
        (folder / name).write_text(text, encoding="latin-1")

    ratings = [[r["user_id"], r["item_id"], r["rating"], r["event_time"]] for r in parsed(downloaded.behaviors)]
    write("u.data", ratings[::-1], "\t")
    items = []
    for item in parsed(downloaded.items):
        title = f"{item['title']} ({item['year']})" if "year" in item else item["title"]
        flags = [int(genre in item["genres"]) for genre in GENRES]
        items.append(
            [item["item_id"], title + (" (V)" if item["item_id"] == "1412" else ""), "01-Jan-1995", "", "", *flags]
        )
    write("u.item", items, "|")
    users = [[u["user_id"], u["age"], u["gender"], u["occupation"], "85711"] for u in parsed(downloaded.users)]
    write("u.user", users, "|")
    write("u.genre", [*([genre, i] for i, genre in enumerate(GENRES)), [""]], "|")
    return folder


def test_ratings_items_and_users_are_complete_and_readable(downloaded: MovieLens) -> None:
    ratings, items, users = parsed(downloaded.behaviors), parsed(downloaded.items), parsed(downloaded.users)
    assert (len(ratings), len(items), len(users)) == (100_000, 1_682, 943)
    assert len({r["event_id"] for r in ratings}) == 100_000
    assert ratings == sorted(ratings, key=lambda r: (r["event_time"], r["event_id"]))
    assert {"event_id": "ml100k-196-242", "user_id": "196", "item_id": "242", "event_time": 881250949,
            "kind": "rating", "rating": 3} in ratings  # fmt: skip
    by_id = {item.pop("item_id"): item for item in items}
    assert by_id["1"] == {"title": "Toy Story", "year": 1995, "genres": ["Animation", "Children's", "Comedy"]}
    assert by_id["267"] == {"title": "unknown", "genres": ["unknown"]}
    assert by_id["1623"]["title"] == "Cérémonie, La"
    assert [i for i, item in by_id.items() if "year" not in item] == ["267"]
    assert {genre for item in by_id.values() for genre in item["genres"]} == set(GENRES)
    assert users[0] == {"user_id": "1", "age": 24, "gender": "M", "occupation": "technician"}


def test_the_second_call_needs_no_network(
    downloaded: MovieLens, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_process(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("a process was started")

    monkeypatch.setattr(movielens.subprocess, "run", no_process)
    before = downloaded.behaviors.stat().st_mtime_ns
    assert obtain(settings, downloaded.behaviors.parent) == downloaded
    assert downloaded.behaviors.stat().st_mtime_ns == before


@pytest.mark.parametrize("packed", [True, False])
def test_the_archive_of_grouplens_gives_the_same_bytes(
    downloaded: MovieLens, grouplens: Path, settings: Settings, tmp_path: Path, packed: bool
) -> None:
    if packed:
        archive = tmp_path / "ml-100k.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for path in grouplens.iterdir():
                file.write(path, f"ml-100k/{path.name}")
    settings.movielens = str(archive if packed else grouplens)
    made = obtain(settings, tmp_path / "made")
    for name in ("behaviors", "items", "users"):
        assert getattr(made, name).read_bytes() == getattr(downloaded, name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [
        "behaviors.jsonl", "items.jsonl", "users.jsonl",
    ]  # fmt: skip


def test_an_incomplete_archive_is_refused_and_leaves_no_files(
    grouplens: Path, settings: Settings, tmp_path: Path
) -> None:
    settings.movielens = str(grouplens)
    (grouplens / "u.user").write_text("1|24|M|technician|85711\n")
    with pytest.raises(InputError, match=r"1 users.*LIBER_MOVIELENS"):
        obtain(settings, tmp_path / "made")
    (grouplens / "u.user").unlink()
    with pytest.raises(InputError, match=r"u\.user cannot be read"):
        obtain(settings, tmp_path / "made")
    (grouplens / "u.data").write_text("not|the|ratings\n")
    with pytest.raises(InputError, match="does not hold MovieLens-100K"):
        obtain(settings, tmp_path / "made")
    settings.movielens = str(tmp_path / "nowhere.zip")
    with pytest.raises(InputError, match="no such file"):
        obtain(settings, tmp_path / "made")
    assert list((tmp_path / "made").iterdir()) == []


def test_a_cache_that_was_cut_is_made_anew(downloaded: MovieLens, settings: Settings, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(downloaded.behaviors.parent, tmp_path / "copy"))
    (folder / "items.jsonl").write_text('{"item_id": "1"}\n')
    assert obtain(settings, folder).items.read_bytes() == downloaded.items.read_bytes()


def test_a_failing_download_says_what_to_set(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/simple"
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.setenv(name, nobody)
    for name, value in (("PIP_FIND_LINKS", str(tmp_path)), ("PIP_RETRIES", "0"), ("PIP_CONFIG_FILE", "/dev/null")):
        monkeypatch.setenv(name, value)
    with pytest.raises(ServiceUnavailable, match="LIBER_MOVIELENS"):
        obtain(settings, tmp_path / "made")
    assert list((tmp_path / "made").iterdir()) == []


def test_all_of_movielens_is_accepted_once(engine: Engine, settings: Settings, downloaded: MovieLens) -> None:
    for kind, path, n in (("items", downloaded.items, 1_682), ("users", downloaded.users, 943),
                          ("behaviors", downloaded.behaviors, 100_000)):  # fmt: skip
        report = ingest(engine, settings, [path], kind=kind)  # type: ignore[arg-type]
        assert (report.accepted, report.duplicates, report.rejected) == (n, 0, 0)
    assert state.rows(engine, "SELECT sum(last_seq), count(*), max(last_seq) FROM liber.user_stream") == [
        (100_000, 943, 737)
    ]
    assert state.rows(engine, "SELECT count(*) FROM liber.item WHERE title IS NULL") == [(0,)]
