"""Attention pooling: learned queries ask every frame, placed in time, how much it matters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from frame_attention_probe.plugin import FrameAttentionOptions
from harness.models import Backbone, BuildContext, Features, TemporalModule, VideoBatch


class FrameAttention(TemporalModule):
    """``positions [T, D]`` are added to frame features, ``queries [H, D]`` weigh them by softmax."""

    padding = "masked"

    def __init__(self, dim: int, frames: int, options: FrameAttentionOptions) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(frames, dim) * options.position_std)
        self.queries = nn.Parameter(torch.randn(options.heads, dim) * dim**-0.5)
        self.mix = nn.Linear(dim, dim)

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        frames = backbone.normalise(video.frames)
        features = backbone.encode_frames(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        tokens = self.mix(features + self.positions[: frames.shape[1]])
        return Features(tokens, video.mask, self._pool(tokens, video.mask))

    def _pool(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Tokens ``[B, T, D]`` to ``[B, D]``: the heads' weighted sums, averaged."""
        lowest = torch.finfo(tokens.dtype).min  # not -inf: a clip without a frame would be NaN
        logits = (self.queries @ tokens.transpose(1, 2)).masked_fill(~mask[:, None], lowest)
        return (logits.softmax(dim=-1) @ tokens).mean(dim=1)


def build(options: FrameAttentionOptions, context: BuildContext) -> FrameAttention:
    return FrameAttention(context.backbone.dim, context.frames, options)
