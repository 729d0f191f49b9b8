"""CLIP4Clip's recurrent head: an LSTM over the frames, added to them."""

from __future__ import annotations

from torch import Tensor, nn

from harness.models import BuildContext
from harness_clip4clip.frame_module import LooseHead, make_patches
from harness_clip4clip.options import LinearPatchOptions
from harness_clip4clip.patches import TemporalPatches


class SeqLSTM(LooseHead):
    """One layer, one direction, as wide as the features (paper, section 3.3).

    The reference packs each clip to its length. Padding follows the real frames, so it cannot
    reach their states, and its own are masked out of the mean: running over it gives the same.
    """

    def __init__(self, width: int, positions: Tensor, patches: TemporalPatches | None) -> None:
        super().__init__(patches)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        # The reference keeps this table in its checkpoints and never reads it.
        self.register_buffer("frame_positions", positions.clone())

    def mix(self, features: Tensor, mask: Tensor) -> Tensor:
        return features + self.lstm(features)[0]


def build(options: LinearPatchOptions, context: BuildContext) -> SeqLSTM:
    backbone = context.backbone
    return SeqLSTM(backbone.dim, backbone.text.positions, make_patches(options, context))
