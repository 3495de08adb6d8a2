"""Point-in-time samples from the database, as columns (paper, section 4.1.1; DESIGN, section 7)."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import torch
from sqlalchemy import Connection, Engine
from torch import Tensor

from liber_tasks.backbones.batch import Batch
from liber_tasks.backbones.vocabulary import (
    DISLIKED,
    LIKED,
    MAX_HISTORY,
    MAX_PARTITIONS,
    POSITIVE_ABOVE,
    SIGNS,
    UNRATED,
    Vocabulary,
)
from liber_tasks.binary_copy import EPOCH_2000, copy_columns
from liber_tasks.config import Settings
from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.split import time_cut
from liber_tasks.training import samples
from liber_tasks.training.tables import Tables, fit_vocabulary, read_tables

VALIDATION_SHARE = 0.1  # the latest of the training samples: early stopping and the choice of a seed
FIT, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True)
class VectorVersion:
    """Which vectors were used; the others are left out whole."""

    encoder_version: str
    knowledge_version: str
    dimension: int
    model: str  # LLM that wrote the texts
    summary_prompt: str
    shift_prompt: str


@dataclass(frozen=True)
class Dataset:
    """N behaviours by user and time, V vectors by user and time, and S samples that point into both.

    Row 0 of users and catalogue is "unknown". A sample's history and memory are ranges of strictly earlier rows; they
    are gathered batch by batch.
    """

    event_item: Tensor  # (N,) int64, row of the catalogue
    event_sign: Tensor  # (N,) int64, as in Batch.entry_sign
    users: Tensor  # (U, 4) int64, as in Batch.user
    items: Tensor  # (C, 2) int64, as in Batch.item
    genres: Tensor  # (C, G) float32
    vectors: Tensor  # (V, d) float32; (0, 0) when there are none
    user: Tensor  # (S,) int64, row of users
    item: Tensor  # (S,) int64, row of the catalogue
    label: Tensor  # (S,) float32: 1 for a rating above 3
    history: Tensor  # (S, 2) int64, [start, end) among the behaviours
    memory: Tensor  # (S, 2) int64, [start, end) among the vectors
    part: Tensor  # (S,) int64: FIT, VALIDATION or TEST
    vocabulary: Vocabulary
    cut: datetime  # test samples are at or after it
    version: VectorVersion | None
    max_history: int
    max_partitions: int
    digest: str  # sha256 of everything above that a model can see

    def rows(self, *parts: int) -> Tensor:
        """Sample numbers of `parts`, (n,) int64, by user and time."""
        return torch.isin(self.part, torch.tensor(parts)).nonzero().squeeze(1)

    def with_vector(self, rows: Tensor) -> Tensor:
        """Which of the samples `rows` have at least one partition vector, (n,) bool."""
        return self.memory[rows, 1] > self.memory[rows, 0]

    def batch(self, rows: Tensor, with_memory: bool = True) -> Batch:
        """The samples `rows` (B,) int64 as tensors; histories and memories end at the right."""
        place, real = _positions(self.history[rows])
        history, entries = _distinct(self.event_item[place] * SIGNS + self.event_sign[place], len(self.items) * SIGNS)
        entry_row = entries // SIGNS
        kept, mask = _positions(self.memory[rows] if with_memory else torch.zeros(len(rows), 2, dtype=torch.int64))
        return Batch(
            user=self.users[self.user[rows]],
            item=self.items[self.item[rows]],
            genres=self.genres[self.item[rows]],
            history=history,
            history_mask=real,
            entry_item=self.items[entry_row, 0],
            entry_genres=self.genres[entry_row],
            entry_sign=entries % SIGNS,
            memory=self.vectors[kept] * mask.unsqueeze(-1),
            memory_mask=mask,
        )


def _positions(ranges: Tensor) -> tuple[Tensor, Tensor]:
    """Positions (B, L) of ranges (B, 2) aligned right, L the longest, and which are real; the others are 0."""
    start, end = ranges[:, :1], ranges[:, 1:]
    longest = int((end - start).max()) if len(ranges) else 0
    position = end - longest + torch.arange(longest)
    real = position >= start
    return torch.where(real, position, 0), real


def _distinct(codes: Tensor, bound: int) -> tuple[Tensor, Tensor]:
    """Place of each code among the distinct codes, and these, ascending; codes lie in [0, bound)."""
    present = torch.zeros(bound, dtype=torch.int64)
    present[codes.flatten()] = 1
    return (present.cumsum(0) - 1)[codes], present.nonzero().squeeze(1)


def load(
    engine: Engine, settings: Settings, max_history: int = MAX_HISTORY, max_partitions: int = MAX_PARTITIONS
) -> Dataset:
    """Read all samples from one snapshot of the database.

    One sample a rating. Training samples lie before the cut at `settings.train_share`, their latest tenth validates.

    Args:
        engine: LIBER database.
        settings: `train_share`, `knowledge_version` (None: the one with the most vectors).
        max_history: latest behaviours of a user that a sample sees.
        max_partitions: latest sealed partitions of a user that a sample sees.

    Raises:
        InputError: there are no ratings, a part of the split lacks samples, or no vector is of that version.
    """
    with database_errors():
        cut = time_cut(engine, settings.train_share)
        if cut is None:
            raise InputError("There is no behaviour to train on: load some with `liber ingest`.")
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            version = _vector_version(connection, settings.knowledge_version)
            tables = read_tables(connection)
            events = copy_columns(
                connection,
                "training/copy_behaviors",
                {"user": ">i8", "item": ">i8", "time": ">i8", "rating": ">f4", "is_sample": "?"},
                {},
            )
            vectors = _read_vectors(connection, version)
    return assemble(tables, events, vectors, cut, version, max_history, max_partitions)


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
        return {"user": empty, "sealed_at": empty, "vector": np.zeros((0, 0), dtype=np.float32)}
    fields = {"user": ">i8", "partition_no": ">i4", "sealed_at": ">i8", "vector": f"vector{version.dimension}"}
    chosen = {"encoder_version": version.encoder_version, "knowledge_version": version.knowledge_version}
    return copy_columns(connection, "training/copy_vectors", fields, chosen)


def assemble(
    tables: Tables,
    events: dict[str, np.ndarray],
    vectors: dict[str, np.ndarray],
    cut: datetime,
    version: VectorVersion | None,
    max_history: int,
    max_partitions: int,
) -> Dataset:
    """Samples from tables in memory; see `load`. Times are microseconds since 2000-01-01 UTC.

    Args:
        tables: users and catalogue.
        events: `user`, `item` (keys), `time`, `rating` (NaN: none), `is_sample`; by user and time.
        vectors: `user` (key), `sealed_at`, `vector` (V, d); by user and time.
        cut: first event time of the test part.
        version: of the vectors.
        max_history, max_partitions: as in `load`.
    """
    time, user = events["time"], tables.user_rows(events["user"])
    place = np.flatnonzero(events["is_sample"])
    cut_at = (cut - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) - EPOCH_2000
    in_train = time[place] < cut_at
    if not in_train.any() or in_train.all():
        raise InputError(
            f"The split at {cut.isoformat()} leaves {in_train.sum()} ratings to train and {(~in_train).sum()} to test: "
            "load more behaviours or change LIBER_TRAIN_SHARE."
        )
    validation_at = samples.tail_cut(time[place][in_train], VALIDATION_SHARE)
    part = np.where(in_train, np.where(time[place] < validation_at, FIT, VALIDATION), TEST)
    if not (part == FIT).any():
        raise InputError("All training ratings have the same time: there is nothing left to validate with.")

    items = tables.item_rows(events["item"])
    known = time < validation_at
    vocabulary = fit_vocabulary(tables, np.unique(user[known]), np.unique(items[known]))
    users, catalogue, genres = tables.encode(vocabulary)
    start, end = samples.strictly_earlier(user, time)
    vector_user = tables.user_rows(vectors["user"])
    first, last = samples.sealed_earlier(user[place], time[place], vector_user, vectors["sealed_at"])
    rating = events["rating"]
    arrays = {
        "event_item": items,
        "event_sign": np.where(np.isnan(rating), UNRATED, np.where(rating > POSITIVE_ABOVE, LIKED, DISLIKED)),
        "users": users,
        "items": catalogue,
        "genres": genres,
        "vectors": vectors["vector"],
        "user": user[place],
        "item": items[place],
        "label": (rating[place] > POSITIVE_ABOVE).astype(np.float32),
        "history": np.stack([samples.latest(start, end, max_history)[place], end[place]], axis=1),
        "memory": np.stack([samples.latest(first, last, max_partitions), last], axis=1),
        "part": part,
    }
    return Dataset(
        **{name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()},
        vocabulary=vocabulary,
        cut=cut,
        version=version,
        max_history=max_history,
        max_partitions=max_partitions,
        digest=_digest(arrays, vocabulary, version),
    )


def _digest(arrays: dict[str, np.ndarray], vocabulary: Vocabulary, version: VectorVersion | None) -> str:
    digest = hashlib.sha256(f"{vocabulary.to_json()} {version}".encode())
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
