"""From rows and pasts to a batch, as training builds it. Travels with the model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from liber_tasks.backbones.batch import Batch
from liber_tasks.backbones.vocabulary import RESPONSES
from liber_tasks.features.dense import Past, dense
from liber_tasks.fusion.model import ModelConfig
from liber_tasks.fusion.options import TARGET_ATTENTION
from liber_tasks.serving.catalogue import Catalogue
from liber_tasks.serving.past import UserPast


@dataclass(frozen=True)
class Pairs:
    """n (user, item) pairs.

    Attributes:
        past: (n,) int64, which of the pasts.
        user: (n, 4) int64, as in `Batch.user`.
        row: (n,) int64, of the catalogue.
        item: (n, 2) int64, as in `Batch.item`.
        genres: (n, G) float32, as in `Batch.genres`.
    """

    past: np.ndarray
    user: np.ndarray
    row: np.ndarray
    item: np.ndarray
    genres: np.ndarray

    def part(self, start: int, end: int) -> "Pairs":
        """Some of the pairs."""
        return Pairs(*(getattr(self, name)[start:end] for name in self.__dataclass_fields__))


def gather(
    config: ModelConfig,
    catalogue: Catalogue,
    pasts: Sequence[UserPast],
    pairs: Pairs,
    profiled: Callable[[Sequence[UserPast]], Mapping[str, Any]],
    fuse: Callable[[Sequence[UserPast]], torch.Tensor] | None = None,
) -> Batch:
    """The pairs as tensors; what the model does not read is empty.

    Args:
        config, catalogue: of the model.
        pasts: of users.
        pairs: of them.
        profiled: profiles of the partitions of some of the pasts, past by past, by the option that
            reads them: vectors for `TARGET_ATTENTION`.
        fuse: the fused vectors of some of the pasts, (M, f), in place of their memories; None: the model fuses.
    """
    used, past_of = np.unique(pairs.past, return_inverse=True)
    pasts = [pasts[number] for number in used]
    item, history = _joined([past.item for past in pasts], config.max_history)
    response, _ = _joined([past.response for past in pasts], config.max_history)
    entries, entry = np.unique(item * RESPONSES + response, return_inverse=True)
    place, real = _positions(history[past_of])
    vectors, memory, has_vector = memories(config, [] if fuse else pasts)
    closed = _ranges([past.partitions for past in pasts], config.max_partitions)
    profiles = profiled(pasts)
    past = Past(
        item=item,
        response=response,
        history=_ranges([len(past.item) for past in pasts], config.max_past)[past_of],
        profiles=profiles,
        closed=closed[past_of],
    )
    numbers = np.zeros((len(past_of), 0), dtype=np.float32)
    if config.dense:
        numbers = dense(config.options, catalogue.snapshot, past, pairs.row)
    short, some = np.zeros((0, 2, 0), dtype=np.float32), np.zeros((0, 2), dtype=bool)
    sealed, is_closed = _positions(closed[past_of] * 0)
    if config.profile_size:
        short, some = profiles[TARGET_ATTENTION].mean, profiles[TARGET_ATTENTION].some
        sealed, is_closed = _positions(closed[past_of])
    arrays = {
        "user": pairs.user,
        "item": pairs.item,
        "genres": pairs.genres,
        "history": entry[place],
        "history_mask": real,
        "entry_item": catalogue.items[entries // RESPONSES, 0],
        "entry_genres": catalogue.genres[entries // RESPONSES],
        "entry_response": entries % RESPONSES,
        "memory_of": past_of,
        "vectors": vectors,
        "memories": memory,
        "memories_mask": has_vector,
        "dense": numbers,
        "candidate": catalogue.target[pairs.row],
        "profile": short[sealed] * is_closed[..., None, None],
        "profile_mask": some[sealed] & is_closed[..., None],
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    return Batch(**tensors, fused=fuse(pasts) if fuse else None)


def memories(config: ModelConfig, pasts: Sequence[UserPast]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`Batch.vectors`, `Batch.memories` and `Batch.memories_mask` of pasts."""
    lengths = [len(past.vectors) if config.reads_vectors else 0 for past in pasts]
    nothing = np.zeros((0, config.vector_size), dtype=np.float32)
    mine = [past.vectors for past, length in zip(pasts, lengths, strict=True) if length]
    return np.concatenate([nothing, *mine]), *_positions(_ranges(lengths, config.max_partitions))


def _joined(parts: Sequence[np.ndarray], at_most: int) -> tuple[np.ndarray, np.ndarray]:
    """All parts in one array, and the range of the latest `at_most` of each, (parts, 2)."""
    joined = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
    return joined, _ranges([len(part) for part in parts], at_most)


def _ranges(lengths: Sequence[int], at_most: int) -> np.ndarray:
    end = np.cumsum(np.array(lengths, dtype=np.int64))
    start = end - np.minimum(np.array(lengths, dtype=np.int64), at_most)
    return np.stack([start, end], axis=1)


def _positions(ranges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions (B, L) of ranges (B, 2) aligned right, L the longest, and which are real; the others are 0."""
    start, end = ranges[:, :1], ranges[:, 1:]
    longest = int((end - start).max(initial=0))
    position = end - longest + np.arange(longest)
    real = position >= start
    return np.where(real, position, 0), real
