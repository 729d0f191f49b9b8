"""CLIP4Clip's parameter-free head: the masked mean of unit-length frame features."""

from __future__ import annotations

from torch import Tensor

from harness.models import BuildContext
from harness_clip4clip.frame_module import LooseHead, make_patches
from harness_clip4clip.options import LinearPatchOptions


class MeanPool(LooseHead):
    """Each frame's feature to unit length, then the mean over real frames (paper, section 3.3)."""

    def mix(self, features: Tensor, mask: Tensor) -> Tensor:
        return features


def build(options: LinearPatchOptions, context: BuildContext) -> MeanPool:
    return MeanPool(make_patches(options, context))
