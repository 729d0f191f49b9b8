"""CLIP4Clip's parameter-free head: the masked mean of unit-length frame features."""

from __future__ import annotations

from torch.nn import functional

from harness import Options
from harness.models import Backbone, BuildContext, Features, TemporalModule, VideoBatch


class MeanPool(TemporalModule):
    """Each frame's feature to unit length, then the mean over real frames (paper, section 3.3)."""

    padding = "masked"

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        frames = backbone.normalise(video.frames)
        features = backbone.encode_frames(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        weights = video.mask.unsqueeze(-1).to(features.dtype)
        # A clip without a real frame has a zero vector, never 0/0: it scores 0 and poisons nothing.
        unit = functional.normalize(features, dim=-1) * weights
        pooled = unit.sum(dim=1) / weights.sum(dim=1).clamp(min=1)
        return Features(features, video.mask, pooled)


def build(options: Options, context: BuildContext) -> MeanPool:
    return MeanPool()
