"""Vectors of items: what is known of each, an LLM's text included, encoded two ways: by BERT (dense, no PCA) and by its
words (lexical)."""

import hashlib
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Engine

from liber_tasks.binary_copy import write_columns
from liber_tasks.config import Settings
from liber_tasks.db import database_errors, query
from liber_tasks.encoder import item_encoders
from liber_tasks.encoder.item_encoders import ItemEncoder
from liber_tasks.encoder.item_registry import register
from liber_tasks.encoder.registered import try_register
from liber_tasks.features.item_text import item_text
from liber_tasks.item_knowledge import knowledge_in_use
from liber_tasks.types import Progress, silent

ITEMS_A_BATCH = 512  # read together; their new vectors are committed together


@dataclass(frozen=True)
class ItemReport:
    """What one call did.

    Attributes:
        knowledge_version: of the texts about items; None: there are none, their attributes alone are encoded.
        dense_version: of BERT's vectors.
        lexical_version: of the vectors of words; None: too few words to compare anything.
        items: in the catalogue.
        described: items with a text of that knowledge version; of the others the attributes alone are encoded.
        without_text: items of which nothing is known, so that they have no vector.
        encoded: items that gained a dense vector now, or a new one for a changed text.
        encoded_lexical: likewise a lexical one.
        seconds: wall time.
    """

    knowledge_version: str | None
    dense_version: str
    lexical_version: str | None
    items: int
    described: int
    without_text: int
    encoded: int
    encoded_lexical: int
    seconds: float


def encode_items(
    engine: Engine,
    settings: Settings,
    *,
    fit_before: datetime | None = None,
    progress: Progress = silent,
) -> ItemReport:
    """Encode the items that have no vector yet, or whose text has changed since.

    What the lexical vectors count, and the centre that both kinds are compared from, is fitted once a knowledge
    version, then frozen: on items with a behaviour strictly before `fit_before`, on all where those are fewer than
    two. Where twice as many are known by now, the lexical vectors are fitted anew, as a version of their own.

    Each batch is committed, so a stopped run keeps what it has done and the next one goes on. An item whose text has
    vanished keeps its last vector.

    Args:
        engine: LIBER database.
        settings: `encoder`, `item_knowledge_version` (None: the one with the most texts; "none": attributes alone),
            `mlflow_tracking_uri`.
        fit_before: end of the training period.
        progress: told about items looked at.

    Raises:
        InputError: the encoder cannot be loaded, or no text about an item is of that knowledge version.
        ServiceUnavailable: the database cannot be reached.
    """
    begun = time.monotonic()
    with database_errors():
        with engine.connect() as connection:
            knowledge = knowledge_in_use(connection, settings)
        dense = item_encoders.dense(engine, settings, knowledge)
        lexical = item_encoders.lexical(engine, knowledge, fit_before)
        encoders = [dense, *([lexical] if lexical else [])]
        counts = [_fill(engine, encoder, progress) for encoder in encoders]
        item_encoders.centre(engine, dense.version, fit_before)
    if lexical:
        try_register(register, engine, settings, lexical.version)
    return ItemReport(
        knowledge_version=knowledge,
        dense_version=dense.version,
        lexical_version=lexical.version if lexical else None,
        **counts[0],
        encoded_lexical=sum(count["encoded"] for count in counts[1:]),
        seconds=time.monotonic() - begun,
    )


def _fill(engine: Engine, encoder: ItemEncoder, progress: Progress) -> dict[str, int]:
    """Give every item its vector of one encoder."""
    found = dict.fromkeys(("items", "described", "without_text", "encoded"), 0)
    after = 0
    with engine.connect() as connection:
        total = connection.execute(query("encoder/item_count")).scalar_one()
    while True:
        parameters = {"encoder_version": encoder.version, "knowledge_version": encoder.knowledge_version,
                      "after": after, "page": ITEMS_A_BATCH}  # fmt: skip
        with engine.connect() as connection:
            page = connection.execute(query("encoder/item_page"), parameters).all()
        if not page:
            return found
        texts = {row.item_key: item_text(row.title, row.attributes, row.knowledge) for row in page}
        digests = {key: hashlib.sha256(text.encode()).hexdigest() for key, text in texts.items()}
        due = [row.item_key for row in page if texts[row.item_key] and digests[row.item_key] != row.text_sha256]
        if due:
            vectors = encoder.embed([texts[key] for key in due])
            found["encoded"] += _store(engine, encoder.version, due, [digests[key] for key in due], vectors)
        found["items"] += len(page)
        found["described"] += sum(row.knowledge is not None for row in page)
        found["without_text"] += sum(not text for text in texts.values())
        after = page[-1].item_key
        progress(found["items"], max(total, found["items"]), f"items looked at, {encoder.kind}")


def _store(engine: Engine, version: str, keys: list[int], digests: list[str], vectors: np.ndarray) -> int:
    """Write vectors float32 (n, d) of items; returns how many are new or changed."""
    fields = {"item_key": ">i8", "text_sha256": "S64", "vector": f"vector{vectors.shape[1]}"}
    columns: dict[str, Any] = {
        "item_key": np.array(keys), "text_sha256": np.array(digests, dtype="S64"), "vector": vectors
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(query("encoder/item_stage"))
        write_columns(connection, "encoder/copy_item_stage", fields, columns)
        return connection.execute(query("encoder/upsert_items"), {"encoder_version": version}).rowcount
