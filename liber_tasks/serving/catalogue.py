"""The catalogue as the model was trained on it. Travels with the model."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liber_tasks.backbones.vocabulary import Vocabulary
from liber_tasks.features.snapshot import Snapshot

ITEMS, SNAPSHOT, VOCABULARY, VERSIONS = "items.npz", "snapshot.npz", "vocabulary.json", "versions.json"


@dataclass(frozen=True)
class Catalogue:
    """C rows; row 0 is an item that the model does not know.

    Attributes:
        row_of: item id to row.
        vocabulary: of the model.
        items: (C, 2) int64, as in `Batch.item`.
        genres: (C, G) float32, as in `Batch.genres`.
        text: (C, w) float32, directions of text vectors; w = 0 where no option reads them.
        target: (C, v) float32, the same shortened; v = 0 likewise.
        genre: (C, G) float32, directions of genres; (C, 0) likewise.
        snapshot: counts over all users before the test period; empty where no option reads them.
    """

    row_of: dict[str, int]
    vocabulary: Vocabulary
    items: np.ndarray
    genres: np.ndarray
    text: np.ndarray
    target: np.ndarray
    genre: np.ndarray
    snapshot: Snapshot

    @classmethod
    def load(cls, folder: Path) -> "Catalogue":
        """Read the files of a registered model."""
        with np.load(folder / ITEMS, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        row_of = {str(item): row for row, item in enumerate(arrays.pop("ids").tolist(), 1)}
        counts = folder / SNAPSHOT
        return cls(
            row_of,
            Vocabulary.from_json((folder / VOCABULARY).read_text(encoding="utf-8")),
            arrays.pop("items").astype(np.int64),
            **arrays,
            snapshot=Snapshot.from_bytes(counts.read_bytes()) if counts.exists() else Snapshot.empty(0),
        )

    def rows(self, item_ids: Iterable[str]) -> np.ndarray:
        """Rows of items, (n,) int64."""
        return np.array([self.row_of.get(item, 0) for item in item_ids], dtype=np.int64)


@dataclass(frozen=True)
class Versions:
    """Whose vectors the model was trained on; None where it reads none."""

    encoder_version: str | None
    knowledge_version: str | None

    @classmethod
    def load(cls, folder: Path) -> "Versions":
        """Read the file of a registered model."""
        return cls(**json.loads((folder / VERSIONS).read_text(encoding="utf-8")))
