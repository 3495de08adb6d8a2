"""What is known of the catalogue's texts, as directions that items can be compared by."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sqlalchemy import Connection

from liber_tasks.binary_copy import copy_columns
from liber_tasks.config import Settings
from liber_tasks.db import query
from liber_tasks.errors import InputError
from liber_tasks.features.item_text import item_text
from liber_tasks.features.lexical import Lexical
from liber_tasks.features.profile import directions
from liber_tasks.fusion.options import LEXICAL_PROFILE, READ_TEXT, WORDS
from liber_tasks.item_knowledge import knowledge_in_use
from liber_tasks.training.tables import Tables


@dataclass(frozen=True)
class Vectors:
    """Vectors of one kind.

    Attributes:
        item: (n,) int64, keys.
        vector: (n, v) float32.
        centre: (v,) float32, what is common to all.
    """

    item: np.ndarray
    vector: np.ndarray
    centre: np.ndarray

    def directions(self, tables: Tables) -> np.ndarray:
        """(C, v) float32 in the order of the catalogue; zeros for an item without a vector."""
        placed = np.zeros((len(tables.items) + 1, self.vector.shape[1]), dtype=np.float32)
        placed[tables.item_rows(self.item)] = np.where(
            self.vector.any(axis=1, keepdims=True), self.vector - self.centre, 0
        )
        placed[0] = 0
        return directions(placed, np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class ItemTexts:
    """Texts of items, encoded.

    Attributes:
        versions: `knowledge_version` of the texts, if an LLM's are among them, and the encoders' by kind.
        vectors: by kind.
        item, text: of the items whose words are asked for.
        lexical_encoder: what weighs them.
    """

    versions: dict[str, str]
    vectors: dict[str, Vectors]
    item: np.ndarray
    text: list[str]
    lexical_encoder: Lexical | None

    def dense(self, tables: Tables) -> np.ndarray:
        """By BERT, (C, v) float32."""
        return self.vectors["dense"].directions(tables)

    def lexical(self, tables: Tables) -> np.ndarray:
        """By words, shortened, (C, v) float32."""
        return self.vectors["lexical"].directions(tables)

    def words(self, tables: Tables) -> sparse.csr_array:
        """By words, (C, t) float32."""
        assert self.lexical_encoder is not None
        found = self.lexical_encoder.words(self.text).tocoo()
        row = tables.item_rows(self.item)[found.coords[0]]
        shape = (len(tables.items) + 1, len(self.lexical_encoder.terms))
        return sparse.csr_array((found.data, (row, found.coords[1])), shape=shape)


def read_item_texts(connection: Connection, settings: Settings, options: Collection[str]) -> ItemTexts:
    """Read what the options compare with.

    Args:
        connection: one snapshot of the database.
        settings: what `item_knowledge.knowledge_in_use` takes.
        options: names in `fusion.options`.

    Raises:
        InputError: items are not encoded, or not all of them; says what to do.
    """
    knowledge = knowledge_in_use(connection, settings)
    rows = connection.execute(query("training/item_encoders"), {"knowledge_version": knowledge}).all()
    encoders = {row.kind: row for row in rows}
    lexical = {LEXICAL_PROFILE, WORDS} & set(options)
    for kind in ("dense", *(["lexical"] if lexical else [])):
        if kind not in encoders:
            raise InputError(
                f"No item has a {kind} text vector"
                + (f" of knowledge version {knowledge}" if knowledge else "")
                + ": run `liber encode --items`, or leave out the options "
                f"{', '.join(sorted(READ_TEXT & set(options)))}."
            )
    versions = {f"{kind}_version": row.encoder_version for kind, row in encoders.items()}
    if knowledge:
        versions["knowledge_version"] = knowledge
    read = {kind: _vectors(connection, row) for kind, row in encoders.items()}
    texts: Sequence[Any] = ()
    if WORDS in options:
        texts = connection.execute(query("training/item_texts"), {"knowledge_version": knowledge}).all()
    return ItemTexts(
        versions,
        read,
        np.array([row.item_key for row in texts], dtype=np.int64),
        [item_text(row.title, row.attributes, row.knowledge) for row in texts],
        Lexical.from_bytes(bytes(encoders["lexical"].lexical)) if texts else None,
    )


def _vectors(connection: Connection, encoder: Any) -> Vectors:
    fields = {"item": ">i8", "vector": f"vector{encoder.dimension}"}
    columns = copy_columns(
        connection, "training/copy_item_vectors", fields, {"encoder_version": encoder.encoder_version}
    )
    return Vectors(columns["item"], columns["vector"], np.array(encoder.centre, dtype=np.float32))
