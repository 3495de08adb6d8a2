"""A database to serve from, and models of every option over it, with weights that make every input count."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.features.lexical import Lexical
from liber_tasks.fusion.model import build
from liber_tasks.serving.catalogue import Versions
from liber_tasks.serving.pack import pack
from liber_tasks.serving.pyfunc import ClickModel
from liber_tasks.training import registry
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.fit import Epoch, Fitted
from liber_tasks.training.options import Options
from tests.training.data import GENRES, ITEMS, insert, keys

SMALL = Options(embedding_size=8, hidden=(16, 8), dropout=0.0)
TEXT = 12  # length of the items' text vectors
HISTORY, PAST, PARTITIONS = 6, 9, 3  # shorter than most pasts, so that only the latest count


@dataclass(frozen=True)
class World:
    """A filled database, its settings and the samples in it."""

    engine: Engine
    settings: Settings
    dataset: Dataset

    @property
    def url(self) -> str:
        return self.settings.require("database_url")

    def samples(self, rows: torch.Tensor) -> pd.DataFrame:
        """The (user, item, time) of samples, as a caller writes them."""
        with self.engine.connect() as connection:
            cursor = connection.connection.cursor()
            cursor.execute("SELECT user_id, item_id, event_time FROM liber.behavior "
                           "JOIN liber.user_profile USING (user_key) JOIN liber.item USING (item_key) "
                           "WHERE kind = 'rating' OR play_seconds IS NOT NULL "
                           "ORDER BY user_key, event_time, seq")  # fmt: skip
            found = cursor.fetchall()
        chosen = [found[row] for row in rows.tolist()]
        frame = pd.DataFrame(chosen, columns=["user_id", "item_id", "time"])
        return frame.assign(time=[time.isoformat() for time in frame["time"]])


def add_text_vectors(engine: Engine) -> None:
    """Text vectors of all items but one, of both kinds."""
    rng = np.random.default_rng(5)
    of_items = {item: key for item, key in keys(engine, "item").items() if item != f"i{ITEMS - 1}"}
    words = Lexical.fit([f"Item {item}. {GENRES[number % 3]}." for number, item in enumerate(of_items)], 2)
    vectors = {"texts": rng.normal(size=(len(of_items), TEXT)), "words": rng.normal(size=(len(of_items), 2))}
    insert(engine, "item_encoder", ("encoder_version", "kind", "model", "dimension", "centre", "lexical"),
           [("texts", "dense", "bert", TEXT, str([0.1] * TEXT), None),
            ("words", "lexical", "words", 2, "[0.1, -0.1]", words.to_bytes())])  # fmt: skip
    rows = [
        (key, encoder, str(vector.tolist()), hashlib.sha256(item.encode()).hexdigest())
        for encoder, made in vectors.items()
        for (item, key), vector in zip(of_items.items(), made, strict=True)
    ]
    insert(engine, "item_vector", ("item_key", "encoder_version", "vector", "text_sha256"), rows)


def fitted(dataset: Dataset, *options: str, backbone: str = "din", seed: int = 0) -> Fitted:
    """A model whose weights are noise: what it reads wrong changes its score."""
    torch.manual_seed(seed)
    config = dataset.config(backbone, options, SMALL)
    model = build(config, dataset.vocabulary)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    model.scale.fill_(50.0)  # vectors of the tests are small
    return Fitted(model.eval(), config, seed, (Epoch(0.0, 0.0, None),), 1, 0.0)


def served(folder: Path, model: Fitted, dataset: Dataset) -> ClickModel:
    """The model as MLflow would load it from its files."""
    return loaded(registry.save(_made(folder) / "model", model, dataset))


def bundled(world: World, folder: Path, model: Fitted, dataset: Dataset) -> ClickModel:
    """The same, registered with its features."""
    bare = served(folder, model, dataset)
    pack(world.engine, bare.folder, bare.catalogue, bare.config, Versions.load(bare.folder))
    return loaded(bare.folder)


def loaded(folder: Path) -> ClickModel:
    """A model from a folder of files."""
    found = ClickModel()
    found.load_context(SimpleNamespace(artifacts={"model": str(folder)}))  # type: ignore[arg-type]
    return found


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
