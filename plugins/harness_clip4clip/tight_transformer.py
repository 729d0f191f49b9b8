"""CLIP4Clip's tight head: a cross-encoder that reads a text and the frames of a clip together."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness.models import Backbone, BuildContext, Features, TextBatch, TextView, VideoBatch
from harness_clip4clip.frame_module import FrameModule, make_patches, text_layers
from harness_clip4clip.layers import NORM_EPS, first_layers, frame_positions, key_bias, new_linear_
from harness_clip4clip.options import TightTransformerOptions
from harness_clip4clip.patches import TemporalPatches


class TightTransformer(FrameModule):
    """A logit per pair from the sequence [text, frame 0, frame 1, ...] (paper, section 3.3).

    Nothing is brought to unit length and no logit scale is applied, so that of the backbone gets
    no gradient. The paper's type embeddings are not there: the code computes and discards them.
    """

    pairwise = True

    def __init__(
        self, text: TextView, options: TightTransformerOptions, patches: TemporalPatches | None
    ) -> None:
        super().__init__(patches)
        self.positions = frame_positions(text, options.position_std)
        self.dropout = nn.Dropout(options.dropout)
        self.layers = first_layers(text, options.layers, options.heads)
        self.pool_norm = nn.LayerNorm(text.width, eps=NORM_EPS)
        self.pool = new_linear_(nn.Linear(text.width, text.width))
        self.logit = new_linear_(nn.Linear(text.width, 1))

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        return Features(self.frame_features(backbone, video), video.mask)

    def encode_text(self, backbone: Backbone, text: TextBatch) -> Features:
        """The pooled vector only, which is all that a pair reads of a text."""
        vector = super().encode_text(backbone, text).vector
        mask = torch.ones(len(vector), 1, dtype=torch.bool, device=vector.device)
        return Features(vector[:, None], mask, vector)

    def score(self, text: Features, video: Features) -> Tensor:
        """Logits ``[texts, videos]``; every pair goes through the layers."""
        texts = text.vector.to(video.tokens.dtype)[:, None] + self.positions[:1]
        frames = video.tokens + self.positions[1 : 1 + video.tokens.shape[1]]
        mask = torch.cat([video.mask.new_ones(len(video), 1), video.mask], dim=1)
        bias = key_bias(mask, frames.dtype).repeat(len(text), 1, 1, 1)
        # Only the text's token is read of the last layer, so that makes nothing else.
        rows = [None] * (len(self.layers) - 1) + [1]
        x = join(texts, frames)
        if self.training:
            x = self.layers[0](self.dropout(x), bias, rows[0])
        else:
            x = self._first_layer(x, texts, frames, bias, rows[0])
        for layer, made in zip(self.layers[1:], rows[1:], strict=True):
            x = layer(x, bias, made)
        x = self.pool(self.pool_norm(x[:, 0]))
        x = x * torch.sigmoid(1.702 * x)  # QuickGELU, whatever the towers use
        return self.logit(x).view(len(text), len(video))

    def _first_layer(
        self, x: Tensor, texts: Tensor, frames: Tensor, bias: Tensor, rows: int | None
    ) -> Tensor:
        """The first layer of the pairs ``x``, with each text and each clip projected once for all pairs.

        Nothing that a token is projected to depends on its pair before the first attention.
        """
        layer = self.layers[0]
        queries, keys_values = map(join, layer.project(texts), layer.project(frames))
        seen = layer.attend(queries[:, :rows], keys_values, bias)
        del queries, keys_values  # a quarter of what the second half of the layer needs
        return layer.finish(x[:, :rows], seen)

    def logit_scale(self, backbone: Backbone) -> Tensor:
        return torch.ones((), dtype=self.logit.weight.dtype, device=self.logit.weight.device)


def join(texts: Tensor, frames: Tensor) -> Tensor:
    """The sequence of every pair ``[texts videos, 1 + T, W]`` from ``[texts, 1, W]`` and ``[videos, T, W]``."""
    pairs = (len(texts), len(frames))
    first = texts[:, None].expand(*pairs, *texts.shape[1:])
    return torch.cat([first, frames.expand(*pairs, *frames.shape[1:])], dim=2).flatten(0, 1)


def build(options: TightTransformerOptions, context: BuildContext) -> TightTransformer:
    text = text_layers(context, "tight_transformer", 1 + context.frames)
    return TightTransformer(text, options, make_patches(options, context))
