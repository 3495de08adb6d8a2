"""Promises of item vectors: a text of everything known, encoded once, again when it changes."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sqlalchemy import Engine, text
from transformers import BertConfig, BertModel

from liber_tasks.config import Settings
from liber_tasks.encoder import items
from liber_tasks.encoder.items import encode_items, item_encoder_version, item_text
from liber_tasks.encoder.knowledge import model_folder
from liber_tasks.errors import InputError

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
    before = stored(engine, report.encoder_version)
    assert set(before) == {"i1", "i3"}
    again = encode_items(engine, small)
    assert (again.items, again.encoded, again.without_text) == (3, 0, 1)
    assert stored(engine, report.encoder_version) == before


def test_a_run_without_new_items_does_not_load_the_model(
    engine: Engine, small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(engine, "Alien")
    encode_items(engine, small)
    monkeypatch.setattr(items, "_load", lambda name: pytest.fail("loaded"))
    assert encode_items(engine, small).encoded == 0


def test_only_new_and_changed_items_are_encoded(engine: Engine, small: Settings) -> None:
    add(engine, "Alien", "Amadeus", "Heat")
    version = encode_items(engine, small).encoder_version
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
    found = stored(engine, encode_items(engine, small).encoder_version)
    expected = KnowledgeEncoder(str(tiny)).embed(["Alien. Drama.", "Amadeus. Drama."])
    assert np.allclose([found["i1"][0], found["i2"][0]], expected, atol=1e-5)


def test_another_encoders_vectors_stand_beside(engine: Engine, settings: Settings, small: Settings) -> None:
    add(engine, "Alien", "Amadeus")
    first = encode_items(engine, small)
    before = stored(engine, first.encoder_version)
    second = encode_items(engine, settings)
    assert second.encoded == 2
    assert second.encoder_version != first.encoder_version
    assert stored(engine, first.encoder_version) == before
    assert {len(row[0]) for row in stored(engine, second.encoder_version).values()} == {384}


def test_the_version_names_the_model_and_its_weights(tiny: Path, tmp_path: Path) -> None:
    other = tmp_path / "bert"
    shutil.copytree(tiny, other)
    assert item_encoder_version(str(other)) == item_encoder_version(str(tiny))
    assert item_encoder_version(str(tiny)).startswith("bert-")
    weights = other / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    assert item_encoder_version(str(other)) != item_encoder_version(str(tiny))


def test_batches_change_nothing_and_progress_is_told(
    engine: Engine, small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(engine, *[f"Film {n}" for n in range(7)])
    monkeypatch.setattr(items, "ITEMS_A_BATCH", 3)
    told: list[tuple[int, int | None]] = []
    report = encode_items(engine, small, progress=lambda done, total, label: told.append((done, total)))
    assert (report.items, report.encoded, told) == (7, 7, [(3, 7), (6, 7), (7, 7)])
    assert len(stored(engine, report.encoder_version)) == 7


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
    version = item_encoder_version(small.encoder)
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
    found = stored(engine, encode_items(engine, settings).encoder_version)
    matrix = np.array([found[title][0] for title in films])
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    cosine = matrix @ matrix.T
    same = np.equal.outer(list(films.values()), list(films.values()))
    apart = ~np.eye(len(films), dtype=bool)
    assert cosine[same & apart].mean() > cosine[~same].mean() + 0.1
