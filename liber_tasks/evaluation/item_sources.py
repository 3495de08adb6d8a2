"""Texts of items from elsewhere than an LLM: what a lift of the knowledge has to beat."""

from dataclasses import replace
from datetime import datetime
from typing import Literal

import numpy as np
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.db import database_errors
from liber_tasks.encoder.items import encode_items
from liber_tasks.errors import InputError
from liber_tasks.fusion.options import PROFILE, check_options
from liber_tasks.item_knowledge import NO_KNOWLEDGE
from liber_tasks.training.assemble import Raw
from liber_tasks.training.item_texts import ItemTexts, Vectors, read_item_texts

ItemSource = Literal["knowledge", "title", "shuffled", "random"]
SEED = 0


def texts_of(source: ItemSource, engine: Engine, settings: Settings, raw: Raw, cut: datetime) -> ItemTexts:
    """Texts of the same items from another source.

    Args:
        source: "knowledge" (nothing changes), "title" (the items' own attributes: title, categories and so on),
            "shuffled" (each item has the vectors of another), or "random" (Gaussian noise).
        engine: LIBER database.
        settings: `encoder`, for "title".
        raw: with the texts of the knowledge.
        cut: what "title" may be fitted on lies before it.

    Raises:
        InputError: there are none.
    """
    texts = raw.texts
    if texts is None:
        raise InputError("No item has a text vector: run `liber encode --items`.")
    if source == "knowledge":
        return texts
    if source == "title":
        plain = settings.model_copy(update={"item_knowledge_version": NO_KNOWLEDGE})
        encode_items(engine, plain, fit_before=cut)  # nothing to do from the second time on
        with database_errors(), engine.connect() as connection:
            return read_item_texts(connection, plain, check_options((PROFILE,)))
    make = _shuffled if source == "shuffled" else _noise
    return replace(texts, vectors={kind: make(each) for kind, each in texts.vectors.items()})


def _shuffled(vectors: Vectors) -> Vectors:
    order = np.random.default_rng(SEED).permutation(len(vectors.item))
    return replace(vectors, vector=vectors.vector[order])


def _noise(vectors: Vectors) -> Vectors:
    drawn = np.random.default_rng(SEED).standard_normal(vectors.vector.shape).astype(np.float32)
    return replace(vectors, vector=drawn, centre=np.zeros_like(vectors.centre))
