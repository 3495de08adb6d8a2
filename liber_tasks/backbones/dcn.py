"""Deep & Cross Network (Wang et al., ADKDD 2017): bounded-degree crosses of features beside a deep tower."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from liber_tasks.backbones.batch import Batch, Output, Sizes
from liber_tasks.backbones.fields import Fields, joined
from liber_tasks.backbones.layers import MLP

CROSS_LAYERS = 3


class CrossNetwork(nn.Module):
    """x_{l+1} = x_0 (x_l . w_l) + b_l + x_l (DCN, Eq. 3)."""

    def __init__(self, width: int, layers: int = CROSS_LAYERS) -> None:
        """`width`: length of x_0; `layers`: number of crosses."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(layers, width))
        self.bias = nn.Parameter(torch.zeros(layers, width))
        nn.init.normal_(self.weight, std=width**-0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        """`inputs` (B, width), x_0, to x_L of the same shape."""
        crossed = inputs
        for weight, bias in zip(self.weight, self.bias, strict=True):
            crossed = torch.addcmul(crossed + bias, inputs, (crossed @ weight).unsqueeze(1))
        return crossed


class DCN(nn.Module):
    """Cross network and deep tower side by side, then one linear output over both.

    The output's weights are two tensors, the cross network's and the tower's, so that each can grow at its end.
    """

    def __init__(
        self,
        sizes: Sizes,
        embedding_size: int = 32,
        hidden: Sequence[int] = (200, 80),
        dropout: float = 0.0,
        extra: int = 0,
        layers: int = CROSS_LAYERS,
    ) -> None:
        """`extra`: number of further features (paper, Eq. 7), inputs of both parts; `layers`: number of crosses."""
        super().__init__()
        self.fields = Fields(sizes, embedding_size)
        width = self.fields.count * embedding_size + extra
        self.cross = self.make_cross(width, layers)
        self.cross_out = nn.Linear(width, 1, bias=False)
        self.mlp = MLP(width, hidden, dropout)

    def make_cross(self, width: int, layers: int) -> nn.Module:
        """The cross network, (B, width) to the same shape."""
        return CrossNetwork(width, layers)

    def forward(self, batch: Batch, extra: Tensor | None = None) -> Output:
        """Logits (B,). `extra` (B, E): further features (paper, Eq. 7)."""
        inputs = joined(self.fields(batch), extra)
        return Output(self.cross_out(self.cross(inputs)).squeeze(1) + self.mlp(inputs))
