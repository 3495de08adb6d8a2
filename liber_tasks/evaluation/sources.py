"""Partition vectors from elsewhere than an LLM's knowledge: what a lift of the knowledge has to beat."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
import torch
from sqlalchemy import Connection, Engine

from liber_tasks.binary_copy import copy_columns, microseconds
from liber_tasks.config import Settings
from liber_tasks.db import database_errors, query
from liber_tasks.encoder.pca import Projection
from liber_tasks.errors import InputError, LiberError
from liber_tasks.evaluation.studies import Source
from liber_tasks.features.responses import disliked, liked, responses
from liber_tasks.interest.behavior import Behavior
from liber_tasks.interest.summary import item, response
from liber_tasks.interest.wording.domain import Domain, domain
from liber_tasks.training.assemble import digest
from liber_tasks.training.dataset import Dataset, VectorVersion
from liber_tasks.types import Progress, silent

SEED = 0
ROWS_READ = 10_000  # behaviours at once


@dataclass(frozen=True)
class Partitions:
    """The V partitions that have a vector, in the order of the vectors.

    Attributes:
        user: (V,) int64.
        partition_no: (V,) int64.
        trains: (V,) bool: sealed strictly before the cut, so that a source may be fitted on it.
        vectors: (V, d) float32, of the knowledge.
    """

    user: np.ndarray
    partition_no: np.ndarray
    trains: np.ndarray
    vectors: np.ndarray


def with_vectors(
    engine: Engine, settings: Settings, dataset: Dataset, source: Source, progress: Progress = silent
) -> Dataset:
    """The same samples, with vectors (V, d) of the same partitions from another source.

    What a source gives a partition depends on that partition's own behaviours, and on what is fitted on partitions
    sealed before the cut, as the knowledge's own PCA is; "shuffled" mixes those before the cut and the others apart.

    Args:
        engine: LIBER database, as it was when the samples were read.
        settings: `encoder` and `domain`, for "raw_text".
        dataset: with the vectors of the knowledge.
        source: "knowledge" (nothing changes), "random" (Gaussian noise of the same size), "raw_text" (titles and
            responses as in the paper's Figure 3, encoded by the same BERT), "genres" (shares of each genre among the
            liked and among the disliked items), or "shuffled" (each partition has the vector of another user's).
        progress: told about encoded texts.

    Raises:
        InputError: there are no vectors, or fewer than two of before the cut.
        LiberError: the vectors in the database are no longer those of the samples.
    """
    if source == "knowledge":
        return dataset
    version = dataset.version
    if version is None:
        raise InputError("There is no interest vector yet: run `liber learn`, then `liber encode`.")
    with database_errors(), engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        partitions = _partitions(connection, version, dataset)
        if source == "random":
            made = noise(partitions)
        elif source == "shuffled":
            made = partitions.vectors[shuffled(partitions.user, partitions.trains)]
        elif source == "genres":
            counts = _of_each(partitions, connection, dataset, _Genres(dataset))
            made = narrowed(np.array(counts, dtype=np.float32), partitions.vectors.shape[1], partitions.trains)
        else:
            texts = _of_each(partitions, connection, dataset, _Text(domain(settings.domain)))
            made = narrowed(_embedded(settings, texts, progress), partitions.vectors.shape[1], partitions.trains)
    return _replaced(dataset, made)


def noise(partitions: Partitions) -> np.ndarray:
    """Gaussian (V, d) float32 with the root mean square of the knowledge's vectors from before the cut."""
    size = np.sqrt(np.square(partitions.vectors[partitions.trains], dtype=np.float64).mean())
    drawn = np.random.default_rng(SEED).standard_normal(partitions.vectors.shape) * size
    return drawn.astype(np.float32)


def shuffled(user: np.ndarray, trains: np.ndarray) -> np.ndarray:
    """Whose vector each partition gets: a permutation (V,) within those that train and within the others.

    No partition gets one of its own user, unless a user has more than half of them all: a later one would tell the
    future.
    """
    rng, whose = np.random.default_rng(SEED), np.arange(len(user))
    for rows in (np.flatnonzero(trains), np.flatnonzero(~trains)):
        whose[rows] = rng.permutation(rows)
        for row in rows[user[whose[rows]] == user[rows]]:
            others = rows[(user[whose[rows]] != user[row]) & (user[rows] != user[whose[row]])]
            if len(others) and user[whose[row]] == user[row]:
                other = rng.choice(others)
                whose[row], whose[other] = whose[other], whose[row]
    return whose


def narrowed(features: np.ndarray, width: int, trains: np.ndarray) -> np.ndarray:
    """Features (V, w) in another width: filled up with zeros, or their PCA, fitted on the rows `trains`, (V,) bool."""
    if features.shape[1] <= width:
        return np.pad(features, ((0, 0), (0, width - features.shape[1])))
    return Projection.fit(features[trains], width).transform(features)


def raw_text(pack: Domain, behaviors: Iterable[Behavior]) -> str:
    """A partition as the paper's Figure 3 lists it: titles with responses, oldest first, and nothing about them."""
    return "; ".join(f"{item(pack, each)} {response(pack, each)}" for each in behaviors)


def genre_shares(genres: np.ndarray, row: Sequence[int], said: np.ndarray) -> np.ndarray:
    """Mean genres of the liked and of the disliked items of a partition.

    Args:
        genres: (C, G), above zero where an item is of a genre.
        row: of the catalogue, of each behaviour.
        said: (n,) int64, response of each behaviour, as in `Batch.entry_response`.

    Returns:
        (2 G,) float32; zeros where nothing is liked, or disliked.
    """
    of = (genres[list(row)] > 0).astype(np.float32)
    halves = [of[chosen].sum(axis=0) / max(chosen.sum(), 1) for chosen in (liked(said), disliked(said))]
    return np.concatenate(halves).astype(np.float32)


class _Text:
    """Raw text of a partition's rows."""

    def __init__(self, pack: Domain) -> None:
        self._pack = pack

    def __call__(self, rows: Iterable[Any]) -> str:
        return raw_text(
            self._pack,
            [Behavior(row.title, _decoded(row.attributes), row.kind, row.rating, row.play_seconds) for row in rows],
        )


class _Genres:
    """Genre shares of a partition's rows."""

    def __init__(self, dataset: Dataset) -> None:
        self._genres = dataset.genres.numpy()
        self._row = {item_id: row for row, item_id in enumerate(dataset.item_ids, 1)}

    def __call__(self, rows: Iterable[Any]) -> np.ndarray:
        rows = list(rows)
        ratings = np.array(
            [np.nan if row.implied_rating is None else row.implied_rating for row in rows], dtype=np.float64
        )
        return genre_shares(self._genres, [self._row.get(row.item_id, 0) for row in rows], responses(ratings))


def _partitions(connection: Connection, version: VectorVersion, dataset: Dataset) -> Partitions:
    fields_ = {"user": ">i8", "partition_no": ">i4", "sealed_at": ">i8", "vector": f"vector{version.dimension}"}
    found = copy_columns(connection, "training/copy_vectors", fields_, _versions(version))
    if not np.array_equal(found["vector"], dataset.vectors.numpy()):
        raise LiberError(
            "The database changed while its samples were read: run the command again, when nothing writes."
        )
    trains = found["sealed_at"] < microseconds(dataset.cut)
    partitions = Partitions(found["user"], found["partition_no"], trains, found["vector"])
    if partitions.trains.sum() < 2:
        raise InputError(
            "Fewer than two partitions with a vector were sealed before the split: there is nothing that a control "
            "could be fitted on, or a model trained on. Learn more users: LIBER_LEARN_MAX_USERS, then `liber learn`."
        )
    return partitions


def _of_each(partitions: Partitions, connection: Connection, dataset: Dataset, make: Any) -> list[Any]:
    """What `make` makes of each partition's behaviours, in the order of the vectors."""
    made: Mapping[tuple[int, int], Any] = {key: make(rows) for key, rows in _behaviors(connection, dataset)}
    nothing = make(())
    keys = zip(partitions.user.tolist(), partitions.partition_no.tolist(), strict=True)
    return [made.get(key, nothing) for key in keys]


def _behaviors(connection: Connection, dataset: Dataset) -> Iterator[tuple[tuple[int, int], Iterable[Any]]]:
    """Behaviours by user and partition, a bounded number at a time."""
    streamed = connection.execution_options(yield_per=ROWS_READ)
    assert dataset.version is not None
    of = {**_versions(dataset.version), "feedback": dataset.feedback}
    rows = streamed.execute(query("evaluation/partition_behaviors"), of)
    return groupby(rows, key=lambda row: (int(row.user_key), int(row.partition_no)))


def _versions(version: VectorVersion) -> dict[str, str]:
    return {"encoder_version": version.encoder_version, "knowledge_version": version.knowledge_version}


def _embedded(settings: Settings, texts: Sequence[str], progress: Progress) -> np.ndarray:
    from liber_tasks.encoder.knowledge import KnowledgeEncoder  # loads a framework

    return KnowledgeEncoder(settings.encoder).embed(texts, progress)


@lru_cache(maxsize=20_000)
def _decoded(attributes: str) -> Mapping[str, Any]:
    """An item's attributes; popular items come again and again."""
    return dict(json.loads(attributes))


def _replaced(dataset: Dataset, vectors: np.ndarray) -> Dataset:
    """The samples with other vectors, and the digest of that."""
    changed = replace(dataset, vectors=torch.from_numpy(np.ascontiguousarray(vectors)))
    arrays = {field.name: getattr(changed, field.name) for field in fields(changed)}
    tensors = {name: value.numpy() for name, value in arrays.items() if isinstance(value, torch.Tensor)}
    return replace(changed, digest=digest(tensors, changed.vocabulary, changed.version))
