"""CLIP4Clip's sequential head: a transformer over the frames, added to them."""

from __future__ import annotations

from torch import Tensor

from harness.models import BuildContext, TextView
from harness_clip4clip.frame_module import LooseHead, make_patches, text_layers
from harness_clip4clip.layers import first_layers, frame_positions, key_bias
from harness_clip4clip.options import SeqTransformerOptions
from harness_clip4clip.patches import TemporalPatches


class SeqTransformer(LooseHead):
    """Positions and layers start as those of the text tower (paper, section 3.3).

    ``frame_positions [context, D]``. The residual adds the frames as they came, without positions,
    and there is no norm after the last layer.
    """

    def __init__(
        self, text: TextView, options: SeqTransformerOptions, patches: TemporalPatches | None
    ) -> None:
        super().__init__(patches)
        self.frame_positions = frame_positions(text, options.position_std)
        self.layers = first_layers(text, options.layers)

    def mix(self, features: Tensor, mask: Tensor) -> Tensor:
        x = features + self.frame_positions[: features.shape[1]]
        bias = key_bias(mask, x.dtype)
        for layer in self.layers:
            x = layer(x, bias)
        return features + x


def build(options: SeqTransformerOptions, context: BuildContext) -> SeqTransformer:
    text = text_layers(context, "seq_transformer", context.frames)
    return SeqTransformer(text, options, make_patches(options, context))
