"""Promises of item vectors: a text of everything known, encoded once, again when it changes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from sqlalchemy import Engine, text
from transformers import BertConfig, BertModel

from liber_tasks.config import Settings
from liber_tasks.encoder import items, knowledge
from liber_tasks.encoder.item_encoders import dense_version
from liber_tasks.encoder.items import encode_items
from liber_tasks.encoder.knowledge import model_folder
from liber_tasks.errors import InputError
from liber_tasks.features.item_text import item_text

# The text


def test_a_text_says_title_year_categories_and_every_text_attribute() -> None:
    attributes = {
        "year": 1995, "genres": ["Animation", "Comedy"], "director": "John Lasseter",
        "cast": ["Tom Hanks", "Tim Allen"], "runtime": 81, "adult": False, "ids": {"imdb": "tt0114709"},
        "description": "Toys live. \n And talk!",
    }  # fmt: skip
    assert item_text("Toy Story", attributes) == (
        "Toy Story (1995). Animation, Comedy. cast: Tom Hanks, Tim Allen. description: Toys live. And talk! "
        "director: John Lasseter."
    )


def test_the_order_of_attributes_does_not_matter() -> None:
    attributes = {"plot": "x", "categories": [["Books", "Crime"], ["Books", "Noir"]], "author": "y"}
    assert item_text("T", attributes) == item_text("T", dict(reversed(attributes.items())))
    assert item_text("T", attributes) == "T. Books, Crime, Noir. author: y. plot: x."


@pytest.mark.parametrize(
    ("title", "attributes", "expected"),
    [
        (None, {}, ""),
        ("  ", {"genres": [], "plot": " ", "year": None, "price": 3}, ""),
        (None, {"year": 1999}, ""),
        (None, {"genre": "Jazz"}, "Jazz."),
        ("What?", {}, "What?"),
        ("Alien", {"year": "1979"}, "Alien (1979)."),
    ],
)
def test_what_is_not_known_leaves_no_trace(title: str | None, attributes: dict, expected: str) -> None:
    assert item_text(title, attributes) == expected


# The vectors


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 8 numbers with MiniLM's tokenizer: for what does not depend on meaning."""
    folder = tmp_path_factory.mktemp("tiny") / "bert"
    shutil.copytree(model_folder("minilm"), folder, ignore=shutil.ignore_patterns("*.safetensors", "*.bin", "*.h5"))
    torch.manual_seed(1)
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(**shape)).save_pretrained(folder)
    return folder


@pytest.fixture
def small(settings: Settings, tiny: Path) -> Settings:
    return settings.model_copy(update={"encoder": str(tiny)})


def add(engine: Engine, *titles: str | None) -> None:
    with engine.begin() as connection:
        for title in titles:
            connection.execute(
                text("INSERT INTO liber.item (item_id, title, attributes)"
                     " SELECT 'i' || (1 + count(*)), :title, cast(:attributes AS jsonb) FROM liber.item"),
                {"title": title, "attributes": json.dumps({"genres": ["Drama"]} if title else {})},
            )  # fmt: skip


def stored(engine: Engine, version: str) -> dict[str, tuple[list[float], str, str]]:
    """item_id to vector, digest and row version."""
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT item_id, vector::text, text_sha256, v.xmin::text FROM liber.item_vector v"
                 " JOIN liber.item USING (item_key) WHERE encoder_version = :v"),
            {"v": version},
        )  # fmt: skip
        return {row[0]: (json.loads(row[1]), row[2], row[3]) for row in found}


def test_every_item_with_a_text_gets_a_vector_and_a_second_run_writes_nothing(engine: Engine, small: Settings) -> None:
    add(engine, "Alien", None, "Amadeus")
    report = encode_items(engine, small)
    assert (report.items, report.encoded, report.without_text) == (3, 2, 1)
    before = stored(engine, report.dense_version)
    assert set(before) == {"i1", "i3"}
    again = encode_items(engine, small)
    assert (again.items, again.encoded, again.without_text) == (3, 0, 1)
    assert stored(engine, report.dense_version) == before


def test_a_run_without_new_items_does_not_load_the_model(
    engine: Engine, small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(engine, "Alien")
    encode_items(engine, small)
    monkeypatch.setattr(knowledge.KnowledgeEncoder, "__init__", lambda *_: pytest.fail("loaded"))
    assert encode_items(engine, small).encoded == 0


def test_only_new_and_changed_items_are_encoded(engine: Engine, small: Settings) -> None:
    add(engine, "Alien", "Amadeus", "Heat")
    version = encode_items(engine, small).dense_version
    before = stored(engine, version)
    add(engine, "Fargo")
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.item SET attributes = '{\"genres\": [\"Crime\"]}' WHERE item_id = 'i3'"))
        connection.execute(text("UPDATE liber.item SET attributes = attributes || '{\"n\": 1}' WHERE item_id = 'i2'"))
    assert encode_items(engine, small).encoded == 2
    after = stored(engine, version)
    assert {item for item in after if after[item] != before.get(item)} == {"i3", "i4"}
    assert after["i3"][0] != before["i3"][0]
    assert after["i3"][1] != before["i3"][1]


def test_a_vector_is_the_encoders_own(engine: Engine, small: Settings, tiny: Path) -> None:
    from liber_tasks.encoder.knowledge import KnowledgeEncoder

    add(engine, "Alien", "Amadeus")
    found = stored(engine, encode_items(engine, small).dense_version)
    expected = KnowledgeEncoder(str(tiny)).embed(["Alien. Drama.", "Amadeus. Drama."])
    assert np.allclose([found["i1"][0], found["i2"][0]], expected, atol=1e-5)


def test_another_encoders_vectors_stand_beside(engine: Engine, settings: Settings, small: Settings) -> None:
    add(engine, "Alien", "Amadeus")
    first = encode_items(engine, small)
    before = stored(engine, first.dense_version)
    second = encode_items(engine, settings)
    assert second.encoded == 2
    assert second.dense_version != first.dense_version
    assert stored(engine, first.dense_version) == before
    assert {len(row[0]) for row in stored(engine, second.dense_version).values()} == {384}


def test_the_version_names_the_model_and_its_weights(tiny: Path, tmp_path: Path) -> None:
    other = tmp_path / "bert"
    shutil.copytree(tiny, other)
    assert dense_version(str(other), None) == dense_version(str(tiny), None)
    assert dense_version(str(tiny), None).startswith("bert-")
    weights = other / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    assert dense_version(str(other), None) != dense_version(str(tiny), None)


def test_the_version_names_the_texts(tiny: Path) -> None:
    plain, one, other = (dense_version(str(tiny), of) for of in (None, "k1", "k2"))
    assert len({plain, one, other}) == 3


# What an LLM says about items


def describe(engine: Engine, version: str, **texts: str) -> None:
    """Texts about items, by id."""
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO liber.knowledge_version (knowledge_version, model, item_prompt, parameters)"
                 " VALUES (:v, 'm', 'item/1', '{}') ON CONFLICT DO NOTHING"), {"v": version})  # fmt: skip
        for item, words in texts.items():
            connection.execute(
                text("INSERT INTO liber.item_knowledge (item_key, knowledge_version, text) SELECT item_key, :v, :t"
                     " FROM liber.item WHERE item_id = :i ON CONFLICT (item_key, knowledge_version)"
                     " DO UPDATE SET text = excluded.text"), {"v": version, "t": words, "i": item})  # fmt: skip


def test_what_an_llm_says_follows_what_is_known(engine: Engine, small: Settings, tiny: Path) -> None:
    add(engine, "Alien", "Amadeus", None)
    describe(engine, "k1", i1="A crew is hunted in space.", i3="A silent film.")
    report = encode_items(engine, small)
    assert (report.knowledge_version, report.items, report.described, report.without_text) == ("k1", 3, 2, 0)
    found = stored(engine, report.dense_version)
    expected = knowledge.KnowledgeEncoder(str(tiny)).embed(
        ["Alien. Drama. A crew is hunted in space.", "Amadeus. Drama.", "A silent film."]
    )
    assert np.allclose([found[item][0] for item in ("i1", "i2", "i3")], expected, atol=1e-5)


def test_a_new_text_is_encoded_anew_and_nothing_else_is(engine: Engine, small: Settings) -> None:
    add(engine, "Alien", "Amadeus", "Heat")
    describe(engine, "k1", i1="A crew is hunted in space.")
    version = encode_items(engine, small).dense_version
    before = stored(engine, version)
    describe(engine, "k1", i1="A crew is hunted.", i2="A composer envies another.")
    assert encode_items(engine, small).encoded == 2
    after = stored(engine, version)
    assert {item for item in after if after[item] != before[item]} == {"i1", "i2"}


def test_the_version_with_the_most_texts_is_taken_unless_one_is_set(engine: Engine, small: Settings) -> None:
    add(engine, "Alien", "Amadeus")
    describe(engine, "k1", i1="One.")
    describe(engine, "k2", i1="One.", i2="Two.")
    assert encode_items(engine, small).knowledge_version == "k2"
    of = {name: small.model_copy(update={"item_knowledge_version": name}) for name in ("k1", "none", "k3")}
    assert encode_items(engine, of["k1"]).described == 1
    plain = encode_items(engine, of["none"])
    assert (plain.knowledge_version, plain.described, plain.encoded) == (None, 0, 2)
    with pytest.raises(InputError, match=r"LIBER_ITEM_KNOWLEDGE_VERSION is 'k3'.*k2, k1, none"):
        encode_items(engine, of["k3"])


# Words


def item_encoders(engine: Engine, kind: str) -> list[tuple]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(
            text("SELECT encoder_version, fitted_items, fitted_before, centre IS NULL FROM liber.item_encoder"
                 " WHERE kind = :k ORDER BY created_at"), {"k": kind})]  # fmt: skip


def test_words_are_fitted_once_and_again_when_twice_as_much_is_known(engine: Engine, small: Settings) -> None:
    add(engine, "The Alien", "The Aliens", "The Amadeus")
    first = encode_items(engine, small)
    assert (first.encoded, first.encoded_lexical) == (3, 3)
    add(engine, "The last Heat", "The last Fargo")
    grown = encode_items(engine, small)
    assert (grown.lexical_version, grown.encoded_lexical) == (first.lexical_version, 2)
    add(engine, "The last Casino")
    doubled = encode_items(engine, small)
    assert doubled.lexical_version != first.lexical_version
    assert doubled.encoded_lexical == 6
    assert [row[1] for row in item_encoders(engine, "lexical")] == [3, 6]
    assert len(stored(engine, first.lexical_version or "")) == 5  # what a model was trained on stays


def test_words_and_centre_are_fitted_on_items_of_before_the_cut(engine: Engine, small: Settings) -> None:
    add(engine, "The Alien", "The Aliens", "The Amadeus", "The Heat")
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO liber.user_profile (user_id) VALUES ('u')"))
        connection.execute(text(
            "INSERT INTO liber.behavior (user_key, seq, item_key, event_time, effective_time, kind, event_id)"
            " SELECT user_key, n, item_key, at, at, 'click', n::text FROM liber.user_profile, (SELECT item_key,"
            " row_number() OVER (ORDER BY item_id) AS n FROM liber.item) i,"
            " LATERAL (SELECT '2024-01-01Z'::timestamptz + n * interval '1 day' AS at) t"))  # fmt: skip
    cut = datetime(2024, 1, 5, tzinfo=UTC)  # the fourth item's only behaviour is at the cut
    report = encode_items(engine, small, fit_before=cut)
    for kind in ("dense", "lexical"):
        assert [row[1:] for row in item_encoders(engine, kind)] == [(3, cut, False)]
    vectors = {item: row[0] for item, row in stored(engine, report.dense_version).items()}
    with engine.connect() as connection:
        centre = json.loads(
            connection.execute(text("SELECT centre::text FROM liber.item_encoder WHERE kind = 'dense'")).scalar_one()
        )
    assert np.allclose(centre, np.mean([vectors[item] for item in ("i1", "i2", "i3")], axis=0), atol=1e-5)
    add(engine, "Fargo")
    encode_items(engine, small, fit_before=datetime(2030, 1, 1, tzinfo=UTC))
    assert [row[1:] for row in item_encoders(engine, "dense")] == [(3, cut, False)], "frozen"


def test_texts_without_a_word_in_common_have_no_lexical_vectors(engine: Engine, small: Settings) -> None:
    add(engine, "Alien")
    report = encode_items(engine, small)
    assert (report.encoded, report.encoded_lexical, report.lexical_version) == (1, 0, None)


def test_batches_change_nothing_and_progress_is_told(
    engine: Engine, small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(engine, *[f"Film {n}" for n in range(7)])
    monkeypatch.setattr(items, "ITEMS_A_BATCH", 3)
    told: list[tuple[int, int | None]] = []
    report = encode_items(engine, small, progress=lambda done, total, label: told.append((done, total)))
    assert (report.items, report.encoded, told) == (7, 7, 2 * [(3, 7), (6, 7), (7, 7)])
    assert len(stored(engine, report.dense_version)) == 7


_KILLED = """
import os, signal, sys
from liber_tasks import db
from liber_tasks.config import Settings
from liber_tasks.encoder import items

items.ITEMS_A_BATCH = 3
url, encoder = sys.argv[1:]
items.encode_items(
    db.engine(url), Settings(_env_file=None, encoder=encoder),
    progress=lambda done, total, label: done < 6 or os.kill(os.getpid(), signal.SIGKILL),
)
"""


def test_a_run_killed_half_way_keeps_its_batches_and_the_next_one_completes(
    engine: Engine, small: Settings, database_url: str
) -> None:
    add(engine, *[f"Film {n}" for n in range(10)])
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LIBER_")}
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, database_url, small.encoder], env=environment, check=False, timeout=120
    )
    assert killed.returncode == -signal.SIGKILL
    version = dense_version(small.encoder, None)
    kept = stored(engine, version)
    assert len(kept) == 6
    assert encode_items(engine, small).encoded == 4
    after = stored(engine, version)
    assert len(after) == 10
    assert {item: after[item] for item in kept} == kept


def test_an_unknown_encoder_names_the_setting(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="LIBER_ENCODER"):
        encode_items(engine, settings.model_copy(update={"encoder": "/no/such/folder"}))


def test_with_minilm_films_of_one_genre_lie_closer_than_those_of_two(engine: Engine, settings: Settings) -> None:
    films = {
        "Halloween": "Horror", "Scream": "Horror", "Hellraiser": "Horror", "The Exorcist": "Horror",
        "Cinderella": "Children's", "Dumbo": "Children's", "Bambi": "Children's", "Mary Poppins": "Children's",
    }  # fmt: skip
    with engine.begin() as connection:
        for title, genre in films.items():
            connection.execute(
                text("INSERT INTO liber.item (item_id, title, attributes) VALUES (:t, :t, cast(:a AS jsonb))"),
                {"t": title, "a": json.dumps({"genres": [genre]})},
            )
    found = stored(engine, encode_items(engine, settings).dense_version)
    matrix = np.array([found[title][0] for title in films])
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    cosine = matrix @ matrix.T
    same = np.equal.outer(list(films.values()), list(films.values()))
    apart = ~np.eye(len(films), dtype=bool)
    assert cosine[same & apart].mean() > cosine[~same].mean() + 0.1
