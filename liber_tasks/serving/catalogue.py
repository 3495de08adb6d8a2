"""The catalogue as the model was trained on it. Travels with the model."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from liber_tasks.backbones.vocabulary import Vocabulary
from liber_tasks.features.dense import Views
from liber_tasks.features.snapshot import Snapshot
from liber_tasks.fusion.options import COMPARED, WORDS

ITEMS, SNAPSHOT, VOCABULARY, VERSIONS = "items.npz", "snapshot.npz", "vocabulary.json", "versions.json"
_SPARSE = ("data", "indices", "indptr")


@dataclass(frozen=True)
class Catalogue:
    """C rows; row 0 is an item that the model does not know.

    Attributes:
        row_of: item id to row.
        vocabulary: of the model.
        items: (C, 2) int64, as in `Batch.item`.
        genres: (C, G) float32, as in `Batch.genres`.
        target: (C, v) float32, dense directions of texts, shortened; v = 0 where no option reads them.
        views: directions of items, by the option that compares with them.
        snapshot: counts over all users before the test period; empty where no option reads them.
    """

    row_of: dict[str, int]
    vocabulary: Vocabulary
    items: np.ndarray
    genres: np.ndarray
    target: np.ndarray
    views: Views
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
            arrays["items"].astype(np.int64),
            arrays["genres"],
            arrays["target"],
            _views(arrays, len(arrays["items"])),
            snapshot=Snapshot.from_bytes(counts.read_bytes()) if counts.exists() else Snapshot.empty(0),
        )

    def rows(self, item_ids: Iterable[str]) -> np.ndarray:
        """Rows of items, (n,) int64."""
        return np.array([self.row_of.get(item, 0) for item in item_ids], dtype=np.int64)


def view_arrays(views: Views) -> dict[str, np.ndarray]:
    """Views as arrays for a file; a sparse one as the three it is made of."""
    arrays = {f"view_{name}": view for name, view in views.items() if name != WORDS}
    if WORDS in views:
        arrays |= {f"view_{WORDS}_{part}": getattr(views[WORDS], part) for part in _SPARSE}
        arrays[f"view_{WORDS}_terms"] = np.array(views[WORDS].shape[1])
    return arrays


def _views(arrays: Mapping[str, np.ndarray], items: int) -> Views:
    views: dict[str, Any] = {name: arrays[f"view_{name}"] for name in COMPARED if f"view_{name}" in arrays}
    if f"view_{WORDS}_terms" in arrays:
        parts = tuple(arrays[f"view_{WORDS}_{part}"] for part in _SPARSE)
        views[WORDS] = sparse.csr_array(parts, shape=(items, int(arrays[f"view_{WORDS}_terms"])))
    return views


@dataclass(frozen=True)
class Versions:
    """Whose vectors the model was trained on; None where it reads none."""

    encoder_version: str | None
    knowledge_version: str | None

    @classmethod
    def load(cls, folder: Path) -> "Versions":
        """Read the file of a registered model."""
        return cls(**json.loads((folder / VERSIONS).read_text(encoding="utf-8")))
