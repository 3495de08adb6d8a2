"""Combination layer: what a user's memory says, as further features of any backbone (paper, section 3.4.3)."""

from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn

from liber_tasks.backbones.batch import Batch, Output
from liber_tasks.backbones.rows import take
from liber_tasks.fusion.attention import MeanPooling, SelfAttentionPooling, TargetAttention
from liber_tasks.fusion.options import MEAN, POOLED, TARGET_ATTENTION


class LiberModel(nn.Module):
    """y = f(x, h, r; theta) (paper, Eq. 7): x and h as the backbone reads them, r from the user's partitions.

    What r adds weighs nothing at first, so the model starts as the bare backbone and stays it where no training sample
    has a partition: a comparison with the backbone sees what the memory adds and nothing else.
    """

    def __init__(
        self,
        backbone: Callable[[int], nn.Module],
        options: Collection[str],
        vector_size: int,
        profile_size: int,
        dense_size: int,
        fused_size: int,
    ) -> None:
        """Sizes are those of `ModelConfig`; a part is there only if an option asks for it.

        Args:
            backbone: makes the backbone for a number of further features.
            options: names in `fusion.options`.
            vector_size: length of r_j.
            profile_size: length of item and profile vectors.
            dense_size: F, columns of `Batch.dense`.
            fused_size: length of a fused vector.
        """
        super().__init__()
        extra = dense_size + fused_size * ((POOLED in options or MEAN in options) + 2 * (TARGET_ATTENTION in options))
        self.backbone = backbone(extra)  # first: its weights do not depend on what is added
        self.fusion: nn.Module | None = None
        if POOLED in options:
            self.fusion = SelfAttentionPooling(vector_size, fused_size)
        elif MEAN in options:
            self.fusion = MeanPooling(vector_size, fused_size)
        self.target = TargetAttention(profile_size, fused_size) if TARGET_ATTENTION in options else None
        self.scale: Tensor
        self.dense_mean: Tensor
        self.dense_scale: Tensor
        self.register_buffer("scale", torch.ones(()))  # 1 / RMS of the training vectors: encoders differ in scale
        self.register_buffer("dense_mean", torch.zeros(dense_size))
        self.register_buffer("dense_scale", torch.ones(dense_size))  # 1 / standard deviation in training

    def fused(self, vectors: Tensor, memories: Tensor, mask: Tensor) -> Tensor:
        """Each memory's fused vector (M, f), r of Eq. 7, by a model that reads vectors; arguments as in `Batch`.

        It depends on weights and partitions alone: who keeps it gives it back as `Batch.fused`, and nothing is fused.
        """
        return self.fusion(vectors * self.scale, memories, mask)  # type: ignore[misc, no-any-return]

    def extra(self, batch: Batch) -> Tensor | None:
        """Further features (B, E); None when the options ask for none."""
        parts = []
        if self.fusion is not None:
            fused = batch.fused
            if fused is None:
                fused = self.fused(batch.vectors, batch.memories, batch.memories_mask)
            parts.append(take(fused, batch.memory_of))
        if self.target is not None:
            parts.append(self.target(batch.candidate, batch.profile, batch.profile_mask))
        if len(self.dense_mean):
            parts.append((batch.dense - self.dense_mean) * self.dense_scale)
        return torch.cat(parts, dim=-1) if parts else None

    def forward(self, batch: Batch) -> Output:
        """Logits (B,), and the backbone's auxiliary loss if it has one."""
        return self.backbone(batch, self.extra(batch))
