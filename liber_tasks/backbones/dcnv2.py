"""DCN-V2 (Wang et al., WWW 2021), parallel structure: crosses weighed by a full matrix."""

import torch
from torch import Tensor, nn

from liber_tasks.backbones.dcn import CROSS_LAYERS, DCN


class MatrixCrossNetwork(nn.Module):
    """x_{l+1} = x_0 * (W_l x_l + b_l) + x_l, elementwise product (DCN-V2, Eq. 1)."""

    def __init__(self, width: int, layers: int = CROSS_LAYERS) -> None:
        """`width`: length of x_0; `layers`: number of crosses."""
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        for layer in self.layers:
            nn.init.xavier_normal_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, inputs: Tensor) -> Tensor:
        """`inputs` (B, width), x_0, to x_L of the same shape."""
        crossed = inputs
        for layer in self.layers:
            crossed = torch.addcmul(crossed, inputs, layer(crossed))
        return crossed


class DCNv2(DCN):
    """Matrix cross network and deep tower side by side, then one linear output over both."""

    def make_cross(self, width: int, layers: int) -> nn.Module:
        """The cross network, (B, width) to the same shape."""
        return MatrixCrossNetwork(width, layers)
