"""Deep Interest Network (Zhou et al., KDD 2018): history pooled by its relevance to the candidate item."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from liber_tasks.backbones.activations import PReLU
from liber_tasks.backbones.batch import Batch, Output, Sizes
from liber_tasks.backbones.layers import MLP, FieldEmbedding, ItemEmbedding, embedding
from liber_tasks.backbones.rows import take
from liber_tasks.backbones.vocabulary import RESPONSES


class AttentionUnit(nn.Module):
    """Activation weights of history positions for a candidate, sum pooling (DIN, section 4.3).

    a(q, k) = w2 . PReLU(W1 [q; k; q - k; q * k] + b1) + b2,   pooled = sum_i a(q, k_i) k_i

    The weights are *not* normalised by softmax: their sum keeps the intensity of interest. PReLU stands where DIN
    proposes Dice: Dice takes statistics over a batch, so that a sample's value would depend on its neighbours.
    """

    def __init__(self, dimension: int, hidden: int = 36) -> None:
        """`dimension`: of candidate and history vectors."""
        super().__init__()
        self.first = nn.Linear(4 * dimension, hidden)
        self.activation = PReLU()
        self.second = nn.Linear(hidden, 1)

    def forward(self, query: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """`query` (B, D), `keys` (B, L, D), `mask` (B, L) bool, True where real, to (B, D); no history gives zeros."""
        # W1 [q; k; q-k; q*k] = (Wq + Wd) q + (Wk - Wd + Wp diag(q)) k: one product a pair, a quarter of the work.
        of_query, of_key, of_difference, of_product = self.first.weight.chunk(4, dim=1)
        per_query = nn.functional.linear(query, of_query + of_difference, self.first.bias)
        kernel = (of_key - of_difference) + of_product * query.unsqueeze(1)
        hidden = torch.baddbmm(per_query.unsqueeze(1), keys, kernel.transpose(1, 2))
        weights = self.second(self.activation(hidden)).squeeze(-1) * mask
        return torch.bmm(weights.unsqueeze(1), keys).squeeze(1)


class DIN(nn.Module):
    """DIN over user fields, the candidate item and a signed history."""

    def __init__(
        self,
        sizes: Sizes,
        embedding_size: int = 32,
        hidden: Sequence[int] = (200, 80),
        dropout: float = 0.0,
        extra: int = 0,
    ) -> None:
        """`extra`: number of further features (paper, Eq. 7)."""
        super().__init__()
        self.user = FieldEmbedding(sizes.user, embedding_size)
        self.item = ItemEmbedding(sizes.items, sizes.genres, embedding_size)
        self.lustrum = embedding(sizes.lustra, embedding_size)
        self.response = embedding(RESPONSES, self.item.out_features)
        self.attention = AttentionUnit(self.item.out_features)
        width = self.user.out_features + 2 * self.item.out_features + embedding_size
        self.mlp = MLP(width + extra, hidden, dropout)

    def forward(self, batch: Batch, extra: Tensor | None = None) -> Output:
        """Logits (B,). `extra` (B, E): further features (paper, Eq. 7)."""
        candidate = self.item(batch.item[:, 0], batch.genres)
        entries = self.item(batch.entry_item, batch.entry_genres) + self.response(batch.entry_response)
        interest = self.attention(candidate, take(entries, batch.history), batch.history_mask)
        features = [self.user(batch.user), candidate, self.lustrum(batch.item[:, 1]), interest]
        if extra is not None:
            features.append(extra)
        return Output(self.mlp(torch.cat(features, dim=-1)))
