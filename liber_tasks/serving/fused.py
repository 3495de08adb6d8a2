"""Fused vectors of users, kept for as long as their pasts are. Travels with the model."""

from collections.abc import Sequence
from threading import Lock
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from liber_tasks.fusion.combine import LiberModel
from liber_tasks.fusion.model import ModelConfig
from liber_tasks.serving.gather import memories
from liber_tasks.serving.past import UserPast


class FusedVectors:
    """A user's fused vector depends on the model and their closed partitions only: one does for all requests of a past.

    A past that its source keeps is the same object in each request. Its vector is kept beside it and goes when it goes:
    it is never older than the past, and nothing of an erased user stays for longer.
    """

    def __init__(self, model: LiberModel, config: ModelConfig) -> None:
        """`model`: in evaluation; `config`: its own, which reads vectors."""
        self._model, self._config = model, config
        self._kept: WeakKeyDictionary[UserPast, Tensor] = WeakKeyDictionary()
        self._lock = Lock()

    def __call__(self, pasts: Sequence[UserPast]) -> Tensor:
        """(M, f) float32, a row for each past, at least one; those that are not kept are fused together."""
        with self._lock:
            kept = {past: self._kept[past] for past in pasts if past in self._kept}
        missing = [past for past in pasts if past not in kept]
        if missing:
            with torch.inference_mode():
                fused = self._model.fused(*map(torch.from_numpy, memories(self._config, missing)))
                found = {past: row.clone() for past, row in zip(missing, fused, strict=True)}  # a view keeps all rows
            with self._lock:
                self._kept.update(found)
            kept |= found
        return torch.stack([kept[past] for past in pasts])
