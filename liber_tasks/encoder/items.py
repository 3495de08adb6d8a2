"""Vectors of items: an item's attributes as text, encoded by the same BERT as the partitions' texts, without a PCA."""

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Engine

from liber_tasks.binary_copy import write_columns
from liber_tasks.config import Settings
from liber_tasks.db import database_errors, query
from liber_tasks.types import Progress, silent

if TYPE_CHECKING:
    from liber_tasks.encoder.knowledge import KnowledgeEncoder

ITEMS_A_BATCH = 512  # read together; their new vectors are committed together
CATEGORIES = ("genre", "genres", "category", "categories")  # said without their names: they follow the title


@dataclass(frozen=True)
class ItemReport:
    """What one call did.

    Attributes:
        encoder_version: of the vectors.
        items: in the catalogue.
        encoded: items that gained a vector now, or a new one for a changed text.
        without_text: items of which nothing is known, so that they have no vector.
        seconds: wall time.
    """

    encoder_version: str
    items: int
    encoded: int
    without_text: int
    seconds: float


def encode_items(engine: Engine, settings: Settings, *, progress: Progress = silent) -> ItemReport:
    """Encode the items that have no vector of this encoder, or whose text has changed since.

    Each batch is committed, so a stopped run keeps what it has done and the next one goes on. An item whose text has
    vanished keeps its last vector.

    Args:
        engine: LIBER database.
        settings: `encoder`.
        progress: told about items looked at.

    Returns:
        Counts, and the encoder's version.

    Raises:
        InputError: the encoder cannot be loaded.
        ServiceUnavailable: the database cannot be reached.
    """
    begun = time.monotonic()
    version = item_encoder_version(settings.encoder)
    bert: KnowledgeEncoder | None = None
    items = encoded = without_text = after = 0
    with database_errors():
        with engine.connect() as connection:
            total = connection.execute(query("encoder/item_count")).scalar_one()
        while True:
            parameters = {"encoder_version": version, "after": after, "page": ITEMS_A_BATCH}
            with engine.connect() as connection:
                page = connection.execute(query("encoder/item_page"), parameters).all()
            if not page:
                break
            texts = {row.item_key: item_text(row.title, row.attributes) for row in page}
            digests = {key: hashlib.sha256(text.encode()).hexdigest() for key, text in texts.items()}
            due = [row.item_key for row in page if texts[row.item_key] and digests[row.item_key] != row.text_sha256]
            if due:
                bert = bert or _load(settings.encoder)
                vectors = bert.embed([texts[key] for key in due])
                encoded += _store(engine, version, due, [digests[key] for key in due], vectors)
            items += len(page)
            without_text += sum(not text for text in texts.values())
            after = page[-1].item_key
            progress(items, max(total, items), "items looked at")
    return ItemReport(version, items, encoded, without_text, time.monotonic() - begun)


def item_text(title: str | None, attributes: Mapping[str, Any]) -> str:
    """What is known of an item, in sentences; the order of the attributes does not matter.

    Title and year, then the categories, then every other attribute that is text or a list of texts, by name. Numbers
    say nothing to a BERT and are left out.

    Args:
        title: of the item.
        attributes: of the item, from JSON.

    Returns:
        Such as "Toy Story (1995). Animation, Comedy. director: John Lasseter."; empty when nothing is known.
    """
    name = " ".join((title or "").split())
    year = str(attributes.get("year") or "").strip()
    parts = [f"{name} ({year})" if name and year else name]
    parts += [_words(attributes[key]) for key in CATEGORIES if key in attributes]
    for key in sorted(set(attributes) - {*CATEGORIES, "year"}):
        words = _words(attributes[key])
        parts.append(f"{key}: {words}" if words else "")
    return " ".join(part if part[-1] in ".!?" else f"{part}." for part in parts if part)


def item_encoder_version(name: str) -> str:
    """Digest that names model, number format and pooling: vectors of one version can be compared.

    Raises:
        InputError: there is no such model.
    """
    from liber_tasks.encoder.knowledge import POOLING, dtype_name, model_identity

    parts = (model_identity(name), dtype_name(), POOLING)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]
    return f"{parts[0].split('#')[0]}-{parts[1]}-{parts[2]}-items-{digest}"


def _words(value: object) -> str:
    """A text, or the texts of a list (of lists) once each, in one line; empty for anything else."""
    return ", ".join(dict.fromkeys(_texts(value)))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
    elif isinstance(value, str) and value.strip():
        yield " ".join(value.split())


def _load(name: str) -> "KnowledgeEncoder":
    from liber_tasks.encoder.knowledge import KnowledgeEncoder

    return KnowledgeEncoder(name)


def _store(engine: Engine, version: str, keys: list[int], digests: list[str], vectors: np.ndarray) -> int:
    """Write vectors float32 (n, d) of items; returns how many are new or changed."""
    fields = {"item_key": ">i8", "text_sha256": "S64", "vector": f"vector{vectors.shape[1]}"}
    columns = {"item_key": np.array(keys), "text_sha256": np.array(digests, dtype="S64"), "vector": vectors}
    with engine.begin() as connection:
        connection.execute(query("encoder/item_stage"))
        write_columns(connection, "encoder/copy_item_stage", fields, columns)
        return connection.execute(query("encoder/upsert_items"), {"encoder_version": version}).rowcount
