"""Profiles of users' closed partitions, kept for as long as their pasts are. Travels with the model."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from liber_tasks.features.dense import profiles_by
from liber_tasks.fusion.model import ModelConfig
from liber_tasks.fusion.options import TARGET_ATTENTION
from liber_tasks.serving.catalogue import Catalogue
from liber_tasks.serving.kept import Kept
from liber_tasks.serving.past import UserPast


class PartitionProfiles:
    """What was liked and disliked in a user's closed partitions, in each view of the items that the model reads.

    It depends on the partitions only and is `kept` beside the past.
    """

    def __init__(self, catalogue: Catalogue, config: ModelConfig) -> None:
        """`catalogue`, `config`: of the model."""
        self._views = dict(catalogue.views)
        if config.profile_size:
            self._views[TARGET_ATTENTION] = catalogue.target
        self.kept = Kept(self._profiles)

    def __call__(self, pasts: Sequence[UserPast]) -> dict[str, Any]:
        """By the option that reads them, `features.profile.Profiles` of the partitions of all pasts, past by past."""
        if not self._views:
            return {}
        first, *others = self.kept(pasts)
        return {name: first[name].joined([other[name] for other in others]) for name in self._views}

    def _profiles(self, pasts: Sequence[UserPast]) -> list[dict[str, Any]]:
        bounds = np.cumsum([0, *(past.partitions for past in pasts)]).tolist()
        found: dict[str, Any] = profiles_by(
            self._views,
            np.concatenate([past.partition_item for past in pasts]),
            np.concatenate([past.partition_response for past in pasts]),
            np.concatenate([past.partition + start for past, start in zip(pasts, bounds[:-1], strict=True)]),
            bounds[-1],
        )
        return [{name: each.part(start, end) for name, each in found.items()} for start, end in pairwise(bounds)]
