"""What encodes items: BERT as it is, and a weighting of words that is fitted once a knowledge version, then frozen."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import numpy as np
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.db import query
from liber_tasks.features.item_text import item_text

if TYPE_CHECKING:
    from liber_tasks.encoder.knowledge import KnowledgeEncoder

ITEMS_FITTED = 50_000  # at most
GROWN = 2  # times as many items: fit anew


@dataclass(frozen=True)
class ItemEncoder:
    """One way to encode items; a row of liber.item_encoder.

    Attributes:
        version: digest of everything that shapes a vector.
        kind: of vectors.
        knowledge_version: of the texts; None: attributes alone.
        embed: texts to vectors (n, d) float32.
    """

    version: str
    kind: Literal["dense", "lexical"]
    knowledge_version: str | None
    embed: Callable[[Sequence[str]], np.ndarray]


def dense(engine: Engine, settings: Settings, knowledge_version: str | None) -> ItemEncoder:
    """BERT's vectors; it is loaded when the first text needs it.

    Raises:
        InputError: there is no such BERT, or it cannot be read.
    """
    version = dense_version(settings.encoder, knowledge_version)
    bert: list[KnowledgeEncoder] = []

    def embed(texts: Sequence[str]) -> np.ndarray:
        if not bert:
            from liber_tasks.encoder.knowledge import KnowledgeEncoder

            bert.append(KnowledgeEncoder(settings.encoder))
        return bert[0].embed(texts)

    from liber_tasks.encoder.knowledge import model_identity, model_width

    identity = model_identity(settings.encoder)
    _add(engine, encoder_version=version, kind="dense", knowledge_version=knowledge_version, model=identity,
         dimension=model_width(settings.encoder))  # fmt: skip
    return ItemEncoder(version, "dense", knowledge_version, embed)


def dense_version(name: str, knowledge_version: str | None) -> str:
    """Digest that names model, number format, pooling and texts: vectors of one version can be compared.

    Raises:
        InputError: there is no such model.
    """
    from liber_tasks.encoder.knowledge import POOLING, dtype_name, model_identity

    parts = (model_identity(name), dtype_name(), POOLING, *([knowledge_version] if knowledge_version else []))
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]
    return f"{parts[0].split('#')[0]}-{parts[1]}-{parts[2]}-items-{digest}"


def lexical(engine: Engine, knowledge_version: str | None, fit_before: datetime | None) -> ItemEncoder | None:
    """Vectors of words: those frozen for the knowledge version, fitted now if there are none or they were fitted on
    less than half of what is known; None: the texts have no words in common."""
    from liber_tasks.features.lexical import Lexical

    of = {"knowledge_version": knowledge_version}
    with engine.connect() as connection:
        for bound in dict.fromkeys((fit_before, None)):
            parameters = {**of, "cut": bound, "most": ITEMS_FITTED}
            known = connection.execute(query("encoder/item_fit_texts"), parameters).all()
            if len(known) > 1:
                break
        texts = [text for row in known if (text := item_text(row.title, row.attributes, row.knowledge))]
        kept = connection.execute(query("encoder/item_lexical"), of).one_or_none()
    if kept is not None and len(texts) < GROWN * kept.fitted_items:
        return ItemEncoder(kept.encoder_version, "lexical", knowledge_version, Lexical.from_bytes(kept.lexical).embed)
    try:
        fitted = Lexical.fit(texts)
    except ValueError:
        return None
    digest = hashlib.sha256(f"{fitted.sha256}\0{knowledge_version}".encode()).hexdigest()[:10]
    version = f"lexical-{fitted.dimension}-items-{digest}"
    centre = fitted.embed(texts).mean(axis=0)
    _add(engine, encoder_version=version, kind="lexical", knowledge_version=knowledge_version,
         model=f"TF-IDF of {len(fitted.terms):,} terms, truncated SVD", dimension=fitted.dimension,
         lexical=fitted.to_bytes(), centre=str(centre.tolist()), fitted_items=len(texts),
         fitted_before=bound)  # fmt: skip
    return ItemEncoder(version, "lexical", knowledge_version, fitted.embed)


def centre(engine: Engine, version: str, fit_before: datetime | None) -> None:
    """Freeze the mean of the vectors of one encoder, once: what is common to all items compares nothing."""
    with engine.begin() as connection:
        for bound in dict.fromkeys((fit_before, None)):
            parameters = {"encoder_version": version, "cut": bound}
            if connection.execute(query("encoder/item_centre"), parameters).rowcount:
                return


def _add(engine: Engine, **row: object) -> None:
    empty = dict.fromkeys(("lexical", "centre", "fitted_items", "fitted_before"))
    with engine.begin() as connection:
        connection.execute(query("encoder/item_encoder_add"), {**empty, **row})
