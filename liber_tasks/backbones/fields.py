"""A sample as m vectors of one length, for the families that pair fields and do not read the history's order."""

import math

import torch
from torch import Tensor, nn

from liber_tasks.backbones.batch import Batch, Sizes
from liber_tasks.backbones.layers import EMBEDDING_SPREAD, FieldEmbedding, ItemEmbedding, embedding
from liber_tasks.backbones.rows import sum_rows
from liber_tasks.backbones.vocabulary import LIKED_FROM, RESPONSES, UNRATED


def entry_liked(batch: Batch) -> Tensor:
    """Which entries are positive samples, (E,) bool."""
    return (batch.entry_response >= LIKED_FROM) & (batch.entry_response < UNRATED)


def history_shares(batch: Batch, entries: Tensor) -> Tensor:
    """Sums of `entries` (E, D) over liked behaviours, and over all others, each by the number of both, (B, 2, D).

    Means of either alone would not say how often a user likes what they see. All 0 where there is no behaviour.
    """
    liked = entry_liked(batch)[batch.history]
    masks = [batch.history_mask & liked, batch.history_mask & ~liked]
    count = torch.stack([mask.sum(dim=1) for mask in masks])
    sums = sum_rows(entries, torch.cat([batch.history[mask] for mask in masks]), count.flatten())
    shares = sums.unflatten(0, (2, -1)) / count.sum(dim=0).clamp(min=1).unsqueeze(1)
    return shares.transpose(0, 1)


class Fields(nn.Module):
    """Embeddings (B, m, D): user fields, item id, lustrum, genres, liked history, other history; then the extra field.

    The history is two fields: the sums of liked behaviours and of all others (disliked, not rated), each by the number
    of both. An empty one is zero. The item's tables serve candidate and history, as in DIN.
    """

    def __init__(self, sizes: Sizes, dimension: int, extra: int = 0, spread: float = EMBEDDING_SPREAD) -> None:
        """Tables for `sizes`.

        Args:
            sizes: of the vocabularies.
            dimension: D, of each vector.
            extra: further features (paper, Eq. 7), projected to one more field; 0: no such field.
            spread: standard deviation of that field at the start, for features of standard deviation 1.
        """
        super().__init__()
        self.user = FieldEmbedding(sizes.user, dimension)
        self.item = ItemEmbedding(sizes.items, sizes.genres, dimension)
        self.lustrum = embedding(sizes.lustra, dimension)
        self.response = embedding(RESPONSES, dimension)
        self.base = len(sizes.user) + 5
        self.count = self.base + (extra > 0)  # m
        self.extra = nn.Linear(extra, dimension, bias=False) if extra else None
        if self.extra is not None:
            nn.init.normal_(self.extra.weight, std=spread / math.sqrt(extra))

    def forward(self, batch: Batch, extra: Tensor | None = None) -> Tensor:
        """Fields (B, m, D); `extra` (B, E) is read only if the module was made for it."""
        entries = self.item(batch.entry_item, batch.entry_genres) + self.response(batch.entry_response)
        vectors = [
            self.user(batch.user),
            self.item.ids(batch.item[:, 0]),
            self.lustrum(batch.item[:, 1]),
            self.item.genres(batch.genres),
        ]
        vectors.append(history_shares(batch, entries).flatten(1))
        if self.extra is not None:
            vectors.append(self.extra(extra))
        return torch.cat(vectors, dim=1).unflatten(1, (self.count, self.item.out_features))


class FirstOrder(nn.Module):
    """The linear part of the factorisation-machine families: one weight a feature, all zero at first.

    Liked, and other, items of the history have weights of their own: that an item was liked says something else than
    that it is the candidate.
    """

    def __init__(self, sizes: Sizes, extra: int = 0) -> None:
        """`extra`: number of further features (paper, Eq. 7)."""
        super().__init__()
        self.user = FieldEmbedding(sizes.user, 1)
        self.item = ItemEmbedding(sizes.items, sizes.genres, 1)
        self.lustrum = embedding(sizes.lustra, 1)
        self.past = ItemEmbedding(sizes.items, sizes.genres, 2)
        self.extra = nn.Linear(extra, 1, bias=False) if extra else None
        for weight in self.parameters():
            nn.init.zeros_(weight)

    def forward(self, batch: Batch, extra: Tensor | None = None) -> Tensor:
        """Sum of the weights of a sample's features, (B,); the history counts with its shares."""
        total = self.user(batch.user).sum(dim=1) + self.item(batch.item[:, 0], batch.genres).squeeze(1)
        total = total + self.lustrum(batch.item[:, 1]).squeeze(1)
        past = self.past(batch.entry_item, batch.entry_genres)
        past = torch.where(entry_liked(batch), past[:, 0], past[:, 1])
        share = batch.history_mask / batch.history_mask.sum(dim=1, keepdim=True).clamp(min=1)
        total = total + (past[batch.history] * share).sum(dim=1)
        if self.extra is not None:
            total = total + self.extra(extra).squeeze(1)
        return total


def joined(fields: Tensor, extra: Tensor | None) -> Tensor:
    """Fields (B, m, D) side by side, then the further features (B, E): the input (B, m * D + E) of a deep tower."""
    flat = fields.flatten(1)
    return flat if extra is None else torch.cat([flat, extra], dim=1)


def pairs(count: int) -> tuple[Tensor, Tensor]:
    """Earlier and later member of every pair of `count` fields, by the later one: a new field's pairs come last."""
    later, earlier = torch.tril_indices(count, count, offset=-1)
    return earlier, later
