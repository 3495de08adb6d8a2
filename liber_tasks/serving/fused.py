"""Fused vectors of users, kept for as long as their pasts are. Travels with the model."""

from collections.abc import Sequence

import torch
from torch import Tensor

from liber_tasks.fusion.combine import LiberModel
from liber_tasks.fusion.model import ModelConfig
from liber_tasks.serving.gather import memories
from liber_tasks.serving.kept import Kept
from liber_tasks.serving.past import UserPast


class FusedVectors:
    """A user's fused vector depends on the model and their closed partitions only: one does for all requests of a past.

    It is `kept` beside the past.
    """

    def __init__(self, model: LiberModel, config: ModelConfig) -> None:
        """`model`: in evaluation; `config`: its own, which reads vectors."""
        self._model, self._config = model, config
        self.kept = Kept(self._fused)

    def __call__(self, pasts: Sequence[UserPast]) -> Tensor:
        """(M, f) float32, a row for each past, at least one; those that are not kept are fused together."""
        return torch.stack(self.kept(pasts))

    def _fused(self, pasts: Sequence[UserPast]) -> list[Tensor]:
        with torch.inference_mode():
            fused = self._model.fused(*map(torch.from_numpy, memories(self._config, pasts)))
        return [row.clone() for row in fused]  # a view would keep all rows
