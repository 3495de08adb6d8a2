"""Deep Interest Evolution Network (Zhou et al., AAAI 2019): how interest in the candidate grew along the history."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from liber_tasks.backbones.activations import PReLU
from liber_tasks.backbones.batch import Batch, Output, Sizes
from liber_tasks.backbones.layers import MLP, FieldEmbedding, ItemEmbedding, embedding
from liber_tasks.backbones.packed import Packed, pack
from liber_tasks.backbones.recurrence import Recurrence
from liber_tasks.backbones.rows import take
from liber_tasks.backbones.vocabulary import RESPONSES

AUXILIARY_WEIGHT = 0.5  # alpha (DIEN, Eq. 8)
AUXILIARY_HIDDEN = 32


class Discriminator(nn.Module):
    """Score of an item as the next behaviour after an interest state: one hidden layer over [h; e].

    Its first layer is a sum of one product with the state and one with the item, so each is taken once, the item's for
    distinct items only.
    """

    def __init__(self, dimension: int, hidden: int = AUXILIARY_HIDDEN) -> None:
        """`dimension`: of states and items."""
        super().__init__()
        self.of_state = nn.Linear(dimension, hidden)
        self.of_item = nn.Linear(dimension, hidden, bias=False)
        self.activation = PReLU()
        self.out = nn.Linear(hidden, 1)

    def forward(self, states: Tensor, items: Tensor, *choices: Tensor) -> list[Tensor]:
        """Scores (N,) of `states` (N, D) with each choice (N,) int64 among `items` (E, D)."""
        of_state, of_item = self.of_state(states), self.of_item(items)
        return [self.out(self.activation(of_state + take(of_item, choice))).squeeze(1) for choice in choices]


class DIEN(nn.Module):
    """Interest extractor (GRU over the history), attention to the candidate, interest evolution (AUGRU), MLP."""

    reads_negatives = True  # Batch.negatives, while training

    def __init__(
        self,
        sizes: Sizes,
        embedding_size: int = 32,
        hidden: Sequence[int] = (200, 80),
        dropout: float = 0.0,
        extra: int = 0,
        auxiliary_weight: float = AUXILIARY_WEIGHT,
    ) -> None:
        """`extra`: number of further features (paper, Eq. 7); `auxiliary_weight`: alpha of the auxiliary loss."""
        super().__init__()
        self.user = FieldEmbedding(sizes.user, embedding_size)
        self.item = ItemEmbedding(sizes.items, sizes.genres, embedding_size)
        self.lustrum = embedding(sizes.lustra, embedding_size)
        self.response = embedding(RESPONSES, embedding_size)
        self.extractor = Recurrence(embedding_size)
        self.relevance = nn.Linear(embedding_size, embedding_size, bias=False)
        self.evolution = Recurrence(embedding_size)
        self.discriminator = Discriminator(embedding_size)
        self.auxiliary_weight = auxiliary_weight
        self.mlp = MLP(self.user.out_features + 3 * embedding_size + extra, hidden, dropout)

    def forward(self, batch: Batch, extra: Tensor | None = None) -> Output:
        """Logits (B,), and the auxiliary loss where there are negatives to train on. `extra` (B, E): paper, Eq. 7."""
        candidate = self.item(batch.item[:, 0], batch.genres)
        items = self.item(batch.entry_item, batch.entry_genres)
        packed = pack(batch.history_mask)
        entry = batch.history[packed.row, packed.column]
        interests = self.extractor(items + self.response(batch.entry_response), packed.sizes, entry)
        attention = self.attention(interests, self.relevance(candidate), packed)
        evolved = self.evolution(interests, packed.sizes, attention=attention)
        # -1, of an empty history, reads the zero row put at the end
        final = nn.functional.pad(evolved, (0, 0, 0, 1))[packed.last]
        features = [self.user(batch.user), candidate, self.lustrum(batch.item[:, 1]), final]
        if extra is not None:
            features.append(extra)
        auxiliary = None
        if self.training and batch.negatives is not None and self.auxiliary_weight:
            negative = batch.negatives[packed.row, packed.column]
            auxiliary = self.auxiliary_weight * self.auxiliary_loss(interests, items, entry, negative, packed)
        return Output(self.mlp(torch.cat(features, dim=-1)), auxiliary)

    def attention(self, interests: Tensor, query: Tensor, packed: Packed) -> Tensor:
        """softmax_t(h_t W e_a) over a history's behaviours (DIEN, Eq. 6), (N,); `query` (B, D) is W e_a."""
        scores = (interests * take(query, packed.row)).sum(dim=1)
        padded = scores.new_full((len(query), len(packed.sizes)), -math.inf)
        step = torch.repeat_interleave(
            torch.arange(len(packed.sizes), device=scores.device), scores.new_tensor(packed.sizes, dtype=torch.int64)
        )
        padded = padded.index_put((packed.row, step), scores)
        return torch.softmax(padded, dim=1)[packed.row, step]

    def auxiliary_loss(
        self, interests: Tensor, items: Tensor, entry: Tensor, negative: Tensor, packed: Packed
    ) -> Tensor:
        """-log s(h_t, e_{t+1}) - log(1 - s(h_t, e'_{t+1})), e' the negative, mean over all real pairs (DIEN, Eq. 7).

        Items are compared without their responses: a sampled item was not rated, which would give it away.
        """
        before = packed.previous()
        after = slice(len(entry) - len(before), None)
        real, sampled = self.discriminator(interests[before], items, entry[after], negative[after])
        losses = nn.functional.softplus(-real) + nn.functional.softplus(sampled)
        return losses.sum() / max(1, len(before))
