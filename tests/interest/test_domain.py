"""Domain packs: the installed ones, one of a user's own without any Python, and wrong ones named by file and key."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.domain_pack import FOLDER
from liber_tasks.errors import InputError
from liber_tasks.interest.learn import learn
from liber_tasks.interest.prompts import knowledge_version
from liber_tasks.interest.wording.domain import Domain, domain, pack
from tests.interest.data import add_user, rows
from tests.interest.faults import GOOD, faulty

GAMES = """\
# A catalogue of games.
items = "games"
factors = "genre, studio and difficulty"
user = ["{country}", "level {level}"]
item = ["{title}", " by {studio}"]
facts = "genres"
liked = 8
disliked = 4

[response]
rating = ["{rating} of 10"]
play = ["played", " {minutes} minutes"]
purchase = ["bought"]
click = ["opened"]

[words.country]
PE = "Peru"
"""


def written(folder: Path, text: str | bytes, name: str = "games.toml") -> str:
    """Path of a pack with that text."""
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(file)


@pytest.mark.parametrize("name", ["movies", "books", "music"])
def test_the_installed_packs_load_and_word_every_kind_of_behaviour(name: str) -> None:
    found = domain(name)
    assert found.name == name
    assert found.items in (name, "music")
    assert all(getattr(found.response, kind) for kind in ("rating", "play", "purchase", "click"))
    assert found.fill(found.user, {"gender": "F", "age": 30})[:2] == ["female", "aged 30"]
    assert found == domain(str(FOLDER / f"{name}.toml"))


def test_the_folder_holds_these_three() -> None:
    assert sorted(file.stem for file in FOLDER.iterdir()) == ["books", "movies", "music"]


def test_a_pack_of_ones_own_is_given_by_path_and_learnt_with(
    engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, GAMES)
    monkeypatch.setenv("LIBER_DOMAIN", path)
    add_user(engine, "a", 2, attributes={"country": "PE", "level": 7})
    with faulty(lambda *_: GOOD) as seen:
        own = Settings(database_url=settings.database_url, llm_url=seen.url)
        report = learn(engine, own)
    assert (report.calls, report.pending_shifts) == (3, 0)
    assert report.knowledge_version == knowledge_version(own).version
    assert report.knowledge_version.startswith("local-games-")
    summary = next(prompt for prompt in seen.prompts if "User: " in prompt and '"Alien"' in prompt)
    assert "what kinds of games a user likes" in summary
    assert "Consider genre, studio and difficulty." in summary
    assert "User: Peru, level 7\n" in summary
    assert '4 of 10: "Alien"\n' in summary
    assert "by period" not in summary  # the pack names no attribute for it
    ((kept,),) = rows(engine, "SELECT recipe -> 'domain' FROM liber.knowledge_version")
    assert pack(kept, "kept") == domain(path)


def test_a_tilde_in_the_path_is_ones_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, GAMES)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert domain("~/games.toml").items == "games"


def test_a_name_that_is_no_pack_lists_those_there_are() -> None:
    with pytest.raises(InputError, match="LIBER_DOMAIN is 'games': choose one of books, movies, music, or give the pa"):
        domain("games")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.toml", "there is no file .*none.toml, correct the path"),
        ("folder.toml", "cannot be read: Is a directory"),
        ("none/x", "there is no file"),
        (f"{'x' * 300}.toml", "cannot be read: File name too long"),
    ],
)
def test_a_path_where_no_pack_can_be_read_is_named(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(InputError, match=f"LIBER_DOMAIN is '.*{name}'.*{said}"):
        domain(str(tmp_path / name))


def test_a_home_that_nobody_has_is_a_path_where_nothing_is() -> None:
    with pytest.raises(InputError, match=r"there is no file ~nobody-of-this-name/x\.toml"):
        domain("~nobody-of-this-name/x.toml")


WRONG: dict[str, tuple[str, str, str, str]] = {  # what is replaced, by what, and the key and advice that are named
    "a missing key": ('items = "games"\n', "", "items", "the key is missing, add it"),
    "a missing response": ('click = ["opened"]\n', "", "response.click", "the key is missing, add it"),
    "an unknown key": ("liked = 8", "liked = 8\nlikes = 9", "likes", "there is no such key, remove or rename it"),
    "an unknown response": ('click = ["op', 'view = ["x"]\nclick = ["op', "response.view", "there is no such key"),
    "a name of its own": ("liked = 8", 'liked = 8\nname = "x"', "name", "named by its file, remove the key"),
    "a number for a text": ('items = "games"', "items = 5", "items", "should be a valid string"),
    "an empty text": ('items = "games"', 'items = ""', "items", "at least 1 character"),
    "a text for a list": ('["{country}", "level {level}"]', '"{country}"', "user", "should be a valid tuple"),
    "a text for a number": ("liked = 8", 'liked = "8"', "liked", "should be a valid number"),
    "a truth for a number": ("liked = 8", "liked = true", "liked", "should be a valid number"),
    "no number": ("liked = 8", "liked = nan", "liked", "should be a finite number"),
    "an endless number": ("liked = 8", "liked = inf", "liked", "should be a finite number"),
    "a piece with an open brace": ('"level {level}"', '"level {level"', "user.1", "an attribute is written {name}"),
    "a piece with a spaced name": ('"level {level}"', '"{my level}"', "user.1", "an attribute is written {name}"),
    "a piece with two braces": ('"level {level}"', '"{{level}}"', "user.1", "an attribute is written {name}"),
    "no piece for an item": ('["{title}", " by {studio}"]', "[]", "item", "at least 1 item"),
    "words that are no table": ('[words.country]\nPE = "Peru"', 'words = "x"', "response.words", "no such key"),
    "a word that is no text": ('PE = "Peru"', "PE = 5", "words.country.PE", "should be a valid string"),
    "a text of two lines": ('items = "games"', 'items = "ga\\nmes"', "items", "write it on one line"),
    "a piece of two lines": ('"level {level}"', '"level\\u2028{level}"', "user.1", "write it on one line"),
    "a zero character": ('PE = "Peru"', 'PE = "Pe\\u0000ru"', "words.country.PE", "without control characters"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_pack_is_one_sentence_with_file_key_and_advice(tmp_path: Path, fault: str) -> None:
    old, new, key, advice = WRONG[fault]
    assert old in GAMES
    path = written(tmp_path, GAMES.replace(old, new))
    with pytest.raises(InputError) as caught:
        domain(path)
    said = str(caught.value)
    assert said.startswith(f"The domain pack {path} (LIBER_DOMAIN) is wrong at {key}: ")
    assert advice in said
    assert "\n" not in said


@pytest.mark.parametrize("disliked", ["8", "8.5"])
def test_dislikes_that_reach_into_likes_are_refused(tmp_path: Path, disliked: str) -> None:
    path = written(tmp_path, GAMES.replace("disliked = 4", f"disliked = {disliked}"))
    with pytest.raises(InputError, match=r"games.toml \(LIBER_DOMAIN\) is wrong: disliked must be below liked, change"):
        domain(path)


@pytest.mark.parametrize(
    "text", ["items = ", "not toml at all", b'items = "caf\xe9"', b"\xff\xfe", "items = 1\nitems = 2"]
)
def test_a_file_that_is_not_toml_in_utf8_is_named(tmp_path: Path, text: str | bytes) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=rf"{path} \(LIBER_DOMAIN\) is not TOML in UTF-8, correct it: ."):
        domain(path)


def test_a_wrong_pack_stops_a_run_before_anything_is_written(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    add_user(engine, "a", 1)
    path = written(tmp_path, GAMES.replace('items = "games"\n', ""))
    with pytest.raises(InputError, match="wrong at items"):
        learn(engine, settings.model_copy(update={"domain": path, "llm_url": "http://127.0.0.1:9"}))
    assert rows(engine, "SELECT FROM liber.knowledge_version") == []


def test_the_digest_changes_with_any_key_and_not_with_comments_or_order(tmp_path: Path) -> None:
    def digest_of(text: str) -> str:
        return domain(written(tmp_path, text)).digest

    same = digest_of(GAMES)
    assert (
        digest_of("# other words\n" + GAMES.replace("liked = 8\ndisliked = 4\n", "disliked = 4.0\nliked = 8.0\n"))
        == same
    )
    changed = [
        GAMES.replace(old, new)
        for old, new in (
            ('"games"', '"plays"'), ("genre, studio", "studio, genre"), ('"level {level}"', '"at {level}"'),
            ('" by {studio}"', '" of {studio}"'), ('facts = "genres"', 'facts = "tags"'),
            ("liked = 8", 'period = "year"\nliked = 8'), ("\nliked = 8", "\nliked = 9"),
            ("disliked = 4", "disliked = 3"),
            ("of 10", "/ 10"), ('["played", ', '["ran", '), ('["bought"]', '["paid"]'), ('["opened"]', '["seen"]'),
            ('"Peru"', '"Perú"'), ("PE =", "PU ="), ("words.country", "words.land"),
            ('["{country}", "level {level}"]', '["level {level}", "{country}"]'),
        )
    ]  # fmt: skip
    digests = {same, *map(digest_of, changed)}
    assert len(digests) == len(changed) + 1
    assert domain(written(tmp_path, GAMES, "other.toml")).digest not in digests  # its name is in the version's


@pytest.fixture(scope="module")
def games() -> Domain:
    """The pack of the tests."""
    import tomllib

    return pack({**tomllib.loads(GAMES), "name": "games"}, "x")


def test_a_piece_goes_with_its_attribute_and_values_are_put_in_words(games: Domain) -> None:
    assert games.fill(games.user, {"country": "PE", "level": 7}) == ["Peru", "level 7"]
    assert games.fill(games.user, {"country": "XY"}) == ["XY"]
    assert games.fill(games.user, {"country": None, "level": ""}) == []
    assert games.fill(games.item, {"title": "Go", "studio": ["A", "B"]}) == ["Go", " by A, B"]
    assert games.fill(["{level}"], {"level": 0}) == ["0"]
    assert games.word("title", "x" * 50) == "x" * 39 + "…"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside, max_size=2),
    max_leaves=5,
)


@given(country=VALUES, level=VALUES)
@bounded(max_examples=60, deadline=None)
def test_whatever_an_attribute_holds_it_takes_one_short_line_and_is_never_filled_again(
    games: Domain, country: Any, level: Any
) -> None:
    for piece in games.fill(games.user, {"country": country, "level": level}):
        assert len(piece.splitlines()) == 1
        assert len(piece) <= len("level ") + 40
    assert games.fill(["{level}"], {"level": "{country}", "country": "PE"}) == ["{country}"]


def test_a_pack_survives_json(games: Domain) -> None:
    assert pack(json.loads(json.dumps(games.model_dump(mode="json"))), "x") == games
