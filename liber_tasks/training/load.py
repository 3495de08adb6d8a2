"""All samples from one snapshot of the database."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Connection, Engine

from liber_tasks.backbones.vocabulary import MAX_HISTORY, MAX_PARTITIONS, MAX_PAST
from liber_tasks.binary_copy import copy_columns
from liber_tasks.config import Settings
from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.feedback import feedback_in_use
from liber_tasks.fusion.options import READ_TEXT, check_options
from liber_tasks.split import time_cut
from liber_tasks.training.assemble import Raw, assemble
from liber_tasks.training.dataset import Dataset, VectorVersion
from liber_tasks.training.item_texts import read_item_texts
from liber_tasks.training.tables import read_tables

_EVENTS = {"user": ">i8", "seq": ">i8", "item": ">i8", "time": ">i8", "rating": ">f4", "is_sample": "?"}
_PARTITIONS = {"user": ">i8", "partition_no": ">i4", "first_seq": ">i8", "last_seq": ">i8", "sealed_at": ">i8"}


def load(
    engine: Engine,
    settings: Settings,
    options: Collection[str] = (),
    max_history: int = MAX_HISTORY,
    max_past: int = MAX_PAST,
    max_partitions: int = MAX_PARTITIONS,
) -> Dataset:
    """All samples, from one snapshot of the database.

    One sample a rating; where the domain has a rule (`liber_tasks.feedback`), one a behaviour that says something by
    it. Training samples lie before the cut at `settings.train_share`, their latest tenth validates.

    Args:
        engine: LIBER database.
        settings: `train_share`, `domain`, `knowledge_version` (None: the one with the most vectors).
        options: names in `fusion.options` that models of these samples will read.
        max_history: latest behaviours of a user that the backbone sees.
        max_past: latest behaviours of a user that dense features are made of.
        max_partitions: latest sealed partitions of a user that a sample sees.

    Raises:
        InputError: there are no ratings, a part of the split lacks samples, no vector is of that version, or an option
            reads text vectors of items and there are none.
    """
    found = read(engine, settings, options)
    return assemble(found.raw, found.cut, found.version, found.options, max_history, max_past, max_partitions)


@dataclass(frozen=True)
class Read:
    """What the database holds, to make samples of."""

    raw: Raw
    cut: datetime
    version: VectorVersion | None
    options: tuple[str, ...]


def read(engine: Engine, settings: Settings, options: Collection[str]) -> Read:
    """Read one snapshot of the database; arguments and errors as in `load`."""
    chosen, feedback = check_options(options), feedback_in_use(settings)
    with database_errors():
        cut = time_cut(engine, settings.train_share)
        if cut is None:
            raise InputError("There is no behaviour to train on: load some with `liber ingest`.")
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            version = _vector_version(connection, settings.knowledge_version)
            raw = Raw(
                tables=read_tables(connection),
                events=copy_columns(connection, "training/copy_behaviors", _EVENTS, {"feedback": feedback}),
                partitions=copy_columns(connection, "training/copy_partitions", _PARTITIONS, {}),
                vectors=_read_vectors(connection, version),
                texts=read_item_texts(connection, settings, set(chosen)) if READ_TEXT & set(chosen) else None,
                feedback=feedback,
            )
    return Read(raw, cut, version, chosen)


def _vector_version(connection: Connection, wanted: str | None) -> VectorVersion | None:
    def find(name: str | None) -> VectorVersion | None:
        row = connection.execute(query("training/vector_version"), {"knowledge_version": name}).mappings().one_or_none()
        return VectorVersion(**row) if row else None

    found = find(wanted)
    if found is None and wanted and (other := find(None)):
        raise InputError(
            f"No vector is of knowledge version {wanted}: run `liber learn` and `liber encode`, or set "
            f"LIBER_KNOWLEDGE_VERSION, to {other.knowledge_version} for example."
        )
    return found


def _read_vectors(connection: Connection, version: VectorVersion | None) -> dict[str, np.ndarray]:
    if version is None:
        empty = np.zeros(0, dtype=np.int64)
        return {"user": empty, "partition_no": empty, "sealed_at": empty, "vector": np.zeros((0, 0), dtype=np.float32)}
    fields = {"user": ">i8", "partition_no": ">i4", "sealed_at": ">i8", "vector": f"vector{version.dimension}"}
    chosen = {"encoder_version": version.encoder_version, "knowledge_version": version.knowledge_version}
    return copy_columns(connection, "training/copy_vectors", fields, chosen)
