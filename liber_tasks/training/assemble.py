"""Samples from columns in memory: every feature from strictly before the sample (DESIGN, section 7)."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA

from liber_tasks.backbones.vocabulary import Vocabulary
from liber_tasks.binary_copy import microseconds
from liber_tasks.features.dense import Past, dense, names, profiles_by
from liber_tasks.features.profile import directions, profiles
from liber_tasks.features.responses import liked, responses
from liber_tasks.features.snapshot import snapshots
from liber_tasks.fusion.options import (
    AFFINITY,
    COUNTED,
    DENSE_PROFILE,
    GENRE,
    LEXICAL_PROFILE,
    TARGET_ATTENTION,
    WORDS,
)
from liber_tasks.training import samples
from liber_tasks.training.dataset import Dataset, VectorVersion
from liber_tasks.training.item_texts import ItemTexts
from liber_tasks.training.parts import Fold, by_time, by_users
from liber_tasks.training.tables import Tables, fit_vocabulary

TARGET_SIZE = 64  # length of the shortened text vectors that attention reads


@dataclass(frozen=True)
class Raw:
    """Columns as the database holds them. Times are microseconds since 2000-01-01 UTC.

    Attributes:
        tables: users and catalogue.
        events: `user`, `item` (keys), `seq`, `time`, `rating` (on the scale of five, given or implied; NaN:
            none), `is_sample`; by user and time.
        partitions: `user` (key), `partition_no`, `first_seq`, `last_seq`, `sealed_at`; by user and sealed_at.
        vectors: `user` (key), `partition_no`, `sealed_at`, `vector` (V, d); by user and sealed_at.
        texts: what is known of the items' texts; None where nothing reads them.
        feedback: the rule by which `rating` was implied; None: by none.
    """

    tables: Tables
    events: dict[str, np.ndarray]
    partitions: dict[str, np.ndarray]
    vectors: dict[str, np.ndarray]
    texts: ItemTexts | None
    feedback: str | None = None


def assemble(
    raw: Raw, cut: datetime, version: VectorVersion | None, options: Collection[str], max_history: int,
    max_past: int, max_partitions: int, fold: Fold | None = None,
) -> Dataset:  # fmt: skip
    """Samples from tables in memory; see `training.load.load`.

    Args:
        raw: all columns.
        cut: first event time of the test part.
        version: of the vectors.
        options, max_history, max_past, max_partitions: as in `load`.
        fold: users that test; None: the samples from `cut` on do.

    Raises:
        InputError: a part of the split has no samples.
    """
    tables, events = raw.tables, raw.events
    time, user, response = events["time"], tables.user_rows(events["user"]), responses(events["rating"])
    place = np.flatnonzero(events["is_sample"])
    ids = [each["user_id"] for each in tables.users]
    parts = by_users(time, user, place, ids, fold) if fold else by_time(time, place, microseconds(cut), cut)
    items = tables.item_rows(events["item"])
    known_items = np.unique(items[parts.known])
    vocabulary = fit_vocabulary(tables, np.unique(user[parts.known]), known_items)
    users, catalogue, genres = tables.encode(vocabulary)
    start, end = samples.strictly_earlier(user, time)
    vector_user = tables.user_rows(raw.vectors["user"])
    first, last = samples.sealed_earlier(user[place], time[place], vector_user, raw.vectors["sealed_at"])
    partition_user = tables.user_rows(raw.partitions["user"])
    opened, closed = samples.sealed_earlier(user[place], time[place], partition_user, raw.partitions["sealed_at"])
    of_partition = samples.partition_of(
        user, events["seq"], partition_user, raw.partitions["first_seq"], raw.partitions["last_seq"]
    )
    seen_items, first_time = _first_seen(items[place], time[place])

    history = np.stack([samples.latest(start, end, max_history)[place], end[place]], axis=1)
    ranges = np.stack([samples.latest(opened, closed, max_partitions), closed], axis=1)
    views = _views(raw, options)
    if GENRE in options:
        views[GENRE] = directions(genres, known_items)
    partitions = len(partition_user)
    past = Past(
        item=items,
        response=response,
        history=np.stack([samples.latest(start, end, max_past)[place], end[place]], axis=1),
        profiles=profiles_by(views, items, response, of_partition, partitions),
        closed=ranges,
    )
    moments, moment_of = parts.moments, parts.moment_of
    if not COUNTED & set(options):
        moments, moment_of = moments[-1:], np.zeros_like(moment_of)  # nothing reads the others
    counted = snapshots(
        user, items, response, time, start, end, moments.tolist(), len(catalogue), pairs=AFFINITY in options
    )
    target = _target(raw, known_items) if TARGET_ATTENTION in options else np.zeros((len(catalogue), 0), np.float32)
    short = profiles(target, items, response, of_partition, partitions)
    columns = names(options)
    numbers = np.zeros((len(place), len(columns)), dtype=np.float32)
    for moment, snapshot in enumerate(counted if columns else ()):
        mine = np.flatnonzero(moment_of == moment)
        numbers[mine] = dense(options, snapshot, past.of(mine), items[place][mine])
    arrays = {
        "event_item": items,
        "event_response": response,
        "event_partition": of_partition,
        "users": users,
        "items": catalogue,
        "genres": genres,
        "vectors": raw.vectors["vector"],
        "target": target,
        "profiles": short.mean,
        "profile_mask": short.some,
        "seen_items": seen_items,
        "user": user[place],
        "item": items[place],
        "label": liked(response[place]).astype(np.float32),
        "history": history,
        "memory": np.stack([samples.latest(first, last, max_partitions), last], axis=1),
        "closed": ranges,
        "seen": np.searchsorted(first_time, time[place], side="left"),
        "dense": numbers,
        "part": parts.part,
    }
    return Dataset(
        **{name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()},
        dense_names=columns,
        views=views,
        vocabulary=vocabulary,
        item_ids=tuple(item["item_id"] for item in tables.items),
        snapshot=counted[-1],
        cut=cut,
        version=version,
        item_versions=raw.texts.versions if raw.texts else {},
        feedback=raw.feedback,
        max_history=max_history,
        max_past=max_past,
        max_partitions=max_partitions,
        digest=digest(arrays, vocabulary, version),
    )


def digest(arrays: dict[str, np.ndarray], vocabulary: Vocabulary, version: VectorVersion | None) -> str:
    """sha256 of everything a model can see."""
    found = hashlib.sha256(f"{vocabulary.to_json()} {version}".encode())
    for name, array in arrays.items():
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _first_seen(item: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Items by the time of their first sample, and these times."""
    order = np.lexsort((item, time))
    found, place = np.unique(item[order], return_index=True)
    by_time = np.argsort(place)
    return found[by_time], time[order][place[by_time]]


def _views(raw: Raw, options: Collection[str]) -> dict[str, Any]:
    """Directions of the items' texts, by the option that reads them."""
    texts = raw.texts
    if texts is None:
        return {}
    makers = {DENSE_PROFILE: texts.dense, LEXICAL_PROFILE: texts.lexical, WORDS: texts.words}
    return {name: make(raw.tables) for name, make in makers.items() if name in options}


def _target(raw: Raw, known_items: np.ndarray) -> np.ndarray:
    """Shortened dense directions; (C, v) float32."""
    assert raw.texts is not None
    return _shortened(raw.texts.dense(raw.tables), known_items)


def _shortened(text: np.ndarray, known_items: np.ndarray) -> np.ndarray:
    """The directions' first principal components, fitted on items known in training; (C, v) float32."""
    fitted_on = text[known_items][np.abs(text[known_items]).sum(axis=1) > 0]
    size = min(TARGET_SIZE, *fitted_on.shape)
    if size == 0:
        return np.zeros((len(text), 0), dtype=np.float32)
    components = PCA(size, svd_solver="full").fit(fitted_on.astype(np.float64)).components_
    return directions((text @ components.T).astype(np.float32), np.zeros(0, dtype=np.int64))
