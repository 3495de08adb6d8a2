"""Point-in-time samples as columns (paper, section 4.1.1; DESIGN, section 7)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import torch
from torch import Tensor

from liber_tasks.backbones.batch import Batch
from liber_tasks.backbones.vocabulary import RESPONSES, Vocabulary
from liber_tasks.features.dense import Views
from liber_tasks.features.snapshot import Snapshot
from liber_tasks.fusion.model import ModelConfig
from liber_tasks.fusion.options import COUNTED, DENSE, TARGET_ATTENTION, check_options
from liber_tasks.training.options import Options

REDRAWS = 3  # of negatives that lie in the history


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
    """N behaviours by user and time, V vectors and Q partitions likewise, and S samples that point into them.

    Row 0 of users and catalogue is "unknown". A sample's history and memory are ranges of strictly earlier rows; they
    are gathered batch by batch.
    """

    event_item: Tensor  # (N,) int64, row of the catalogue
    event_response: Tensor  # (N,) int64, as in Batch.entry_response
    event_partition: Tensor  # (N,) int64, row of the closed partition it lies in; -1: in none
    users: Tensor  # (U, 4) int64, as in Batch.user
    items: Tensor  # (C, 2) int64, as in Batch.item
    genres: Tensor  # (C, G) float32
    vectors: Tensor  # (V, d) float32; (0, 0) when there are none
    target: Tensor  # (C, v) float32, dense directions of the items' texts, shortened; (C, 0): no option reads them
    profiles: Tensor  # (Q, 2, v) float32, of closed partitions; (0, 2, 0) likewise
    profile_mask: Tensor  # (Q, 2) bool
    seen_items: Tensor  # (K,) int64, rows of the catalogue by their first sample
    user: Tensor  # (S,) int64, row of users
    item: Tensor  # (S,) int64, row of the catalogue
    label: Tensor  # (S,) float32: 1 for what was liked
    history: Tensor  # (S, 2) int64, [start, end) among the behaviours
    memory: Tensor  # (S, 2) int64, [start, end) among the vectors
    closed: Tensor  # (S, 2) int64, [start, end) among the partitions
    seen: Tensor  # (S,) int64, how many of `seen_items` had one before
    dense: Tensor  # (S, F) float32
    part: Tensor  # (S,) int64: FIT, VALIDATION or TEST
    dense_names: tuple[str, ...]  # columns of `dense`, group.name
    views: Views  # directions of the items, by the option that compares with them
    vocabulary: Vocabulary
    item_ids: tuple[str, ...]  # of the catalogue's rows from 1
    snapshot: Snapshot  # as of the cut
    cut: datetime  # test samples are at or after it
    version: VectorVersion | None
    item_versions: dict[str, str]  # of the items' texts and their encoders; empty where no option reads them
    feedback: str | None  # as in `ModelConfig`
    max_history: int
    max_past: int
    max_partitions: int
    digest: str  # sha256 of everything above that a model can see

    def rows(self, *parts: int) -> Tensor:
        """Sample numbers of `parts`, (n,) int64, by user and time."""
        return torch.isin(self.part, torch.tensor(parts)).nonzero().squeeze(1)

    def with_vector(self, rows: Tensor) -> Tensor:
        """Which of the samples `rows` have at least one partition vector, (n,) bool."""
        return self.memory[rows, 1] > self.memory[rows, 0]

    def config(self, backbone: str, options: Iterable[str], training: Options) -> ModelConfig:
        """The configuration of a model for these samples.

        Raises:
            InputError: an option is not known.
            ValueError: the samples were loaded without what an option reads.
        """
        chosen = check_options(options)
        groups = {name.split(".")[0] for name in self.dense_names}
        if missing := [name for name in chosen if name in DENSE and name not in groups]:
            raise ValueError(f"the samples hold no {', '.join(missing)}: load them with these options")
        config = ModelConfig(
            backbone=backbone,
            options=chosen,
            vector_size=0,
            profile_size=self.target.shape[1] if TARGET_ATTENTION in chosen else 0,
            dense=tuple(name for name in self.dense_names if name.split(".")[0] in chosen),
            max_history=self.max_history,
            max_past=self.max_past if COUNTED & set(chosen) else 0,
            max_partitions=self.max_partitions,
            embedding_size=training.embedding_size,
            hidden=training.hidden,
            dropout=training.dropout,
            fused_size=training.fused_size,
            feedback=self.feedback,
        )
        return replace(config, vector_size=self.vectors.shape[1]) if config.reads_vectors else config

    def batch(self, rows: Tensor, config: ModelConfig, negatives: torch.Generator | None = None) -> Batch:
        """The samples `rows` (B,) int64 as tensors; histories and memories end at the right.

        Args:
            rows: numbers of samples.
            config: of the model that reads them; what it does not read is empty.
            negatives: draws the items for an auxiliary loss; None: none are drawn.
        """
        place, real = _positions(self.history[rows])
        response = self.event_response[place]
        codes = [self.event_item[place] * RESPONSES + response]
        if negatives is not None:
            codes.append(self._negatives(rows, self.event_item[place], real, negatives) * RESPONSES + response)
        entry, entries = _distinct(torch.stack(codes), len(self.items) * RESPONSES)
        entry_row = entries // RESPONSES
        ranges, memory_of = _distinct_ranges(self.memory[rows] if config.reads_vectors else self.memory[rows] * 0)
        memories, mask = _positions(ranges)
        kept, memories[mask] = torch.unique(memories[mask], return_inverse=True)
        closed, sealed = _positions(self.closed[rows] if config.profile_size else self.closed[rows] * 0)
        columns = [self.dense_names.index(name) for name in config.dense]
        item = self.item[rows]
        return Batch(
            user=self.users[self.user[rows]],
            item=self.items[item],
            genres=self.genres[item],
            history=entry[0],
            history_mask=real,
            entry_item=self.items[entry_row, 0],
            entry_genres=self.genres[entry_row],
            entry_response=entries % RESPONSES,
            memory_of=memory_of,
            vectors=self.vectors[kept],
            memories=memories,
            memories_mask=mask,
            dense=self.dense[rows][:, columns],
            candidate=self.target[item] if config.profile_size else self.target[item, :0],
            profile=self.profiles[closed] * sealed[..., None, None],
            profile_mask=self.profile_mask[closed] & sealed.unsqueeze(-1),
            negatives=entry[1] if negatives is not None else None,
        )

    def _negatives(self, rows: Tensor, history: Tensor, real: Tensor, generator: torch.Generator) -> Tensor:
        """(B, L) rows of the catalogue: items rated by somebody before the sample, hardly ever in its history."""
        bound = self.seen[rows].unsqueeze(1)
        of_history = torch.where(real, history, -1).sort(dim=1).values
        drawn = torch.full_like(history, -1)
        wanted = torch.ones_like(real)
        for _ in range(1 + REDRAWS):
            share = torch.rand(history.shape, generator=generator, dtype=torch.float64)
            fresh = self.seen_items[(share * bound).long()] if len(self.seen_items) else torch.zeros_like(history)
            drawn = torch.where(wanted, fresh, drawn)
            place = torch.searchsorted(of_history, drawn).clamp(max=max(of_history.shape[1] - 1, 0))
            wanted = of_history.gather(1, place) == drawn
        return drawn


def _positions(ranges: Tensor) -> tuple[Tensor, Tensor]:
    """Positions (B, L) of ranges (B, 2) aligned right, L the longest, and which are real; the others are 0."""
    start, end = ranges[:, :1], ranges[:, 1:]
    longest = int((end - start).max()) if len(ranges) else 0
    position = end - longest + torch.arange(longest)
    real = position >= start
    return torch.where(real, position, 0), real


def _distinct_ranges(ranges: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct ones of ranges (B, 2), (M, 2), and which of them each is, (B,)."""
    width = int(ranges.max()) + 1 if len(ranges) else 1
    codes, place = torch.unique(ranges[:, 0] * width + ranges[:, 1], return_inverse=True)
    return torch.stack([codes // width, codes % width], dim=1), place


def _distinct(codes: Tensor, bound: int) -> tuple[Tensor, Tensor]:
    """Place of each code among the distinct codes, and these, ascending; codes lie in [0, bound)."""
    present = torch.zeros(bound, dtype=torch.int64)
    present[codes.flatten()] = 1
    return (present.cumsum(0) - 1)[codes], present.nonzero().squeeze(1)
