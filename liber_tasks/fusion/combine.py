"""Combination layer: the fused interest as one more feature of any backbone (paper, section 3.4.3)."""

from typing import Protocol

import torch
from torch import Tensor, nn

from liber_tasks.backbones.batch import Batch
from liber_tasks.fusion.attention import SelfAttentionPooling


class Widenable(Protocol):
    """Layer whose input can get further columns, e.g. `backbones.layers.MLP`."""

    def widen(self, extra: int) -> None:
        """Accept `extra` further input columns whose weights start at zero."""


class Backbone(Protocol):
    """CTR model that LIBER can extend: logits from a batch and further features."""

    mlp: Widenable

    def __call__(self, batch: Batch, extra: Tensor | None = None) -> Tensor:
        """Logits (B,) of `batch`, with `extra` (B, E) as further features."""


class LiberModel(nn.Module):
    """y = f(x, h, r; theta) (paper, Eq. 7): x and h as the backbone reads them, r from the user's partitions.

    The columns of r start at zero weight, so the model starts as the bare backbone and stays it where no training
    sample has a partition: a comparison with the backbone sees what the memory adds and nothing else.
    """

    def __init__(self, backbone: Backbone, vector_size: int, fused_size: int) -> None:
        """`vector_size`: length of r_j; `fused_size`: length of the fused vector."""
        super().__init__()
        backbone.mlp.widen(fused_size)
        self.backbone = backbone
        self.fusion = SelfAttentionPooling(vector_size, fused_size)
        self.scale: Tensor
        self.register_buffer("scale", torch.ones(()))  # 1 / RMS of the training vectors: encoders differ in scale

    def forward(self, batch: Batch) -> Tensor:
        """Logits (B,)."""
        return self.backbone(batch, self.fusion(batch.memory * self.scale, batch.memory_mask))
