"""Weighted token-wise interaction (paper, section 3.3): every word with every frame, and how much each counts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from drl_example.plugin import TokenWiseOptions
from harness.models import Backbone, BuildContext, Features, TemporalModule, TextBatch, VideoBatch


class TokenWise(TemporalModule):
    """A word scores as its best frame does, a frame as its best word; the mean of both directions.

    Texts keep a feature for every token, so a pair cannot be one product of two vectors. Unlike the
    reference, which lets padding into the maximum with a similarity of 0, padding counts for nothing.
    """

    pairwise = True
    padding = "masked"

    def __init__(self, dim: int, options: TokenWiseOptions) -> None:
        super().__init__()
        self.text_weight = _weigher(dim) if options.weighted else None
        self.frame_weight = _weigher(dim) if options.weighted else None

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        frames = backbone.normalise(video.frames)
        features = backbone.encode_frames(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        return Features(_full(features), video.mask)

    def encode_text(self, backbone: Backbone, text: TextBatch) -> Features:
        features = super().encode_text(backbone, text)
        return Features(_full(features.tokens), features.mask)

    def score(self, text: Features, video: Features) -> Tensor:
        """Similarities ``[texts, videos]`` from tokens ``[A, L, D]`` and ``[B, T, D]``."""
        words, frames = (functional.normalize(f.tokens, dim=-1) for f in (text, video))
        cosines = torch.einsum("ald,btd->ablt", words, frames)
        # -1 is the least that a cosine can be: what is not real never wins.
        best_frame = cosines.masked_fill(~video.mask[None, :, None, :], -1.0).amax(dim=3)
        best_word = cosines.masked_fill(~text.mask[:, None, :, None], -1.0).amax(dim=2)
        by_word = torch.einsum("abl,al->ab", best_frame, _weights(self.text_weight, text))
        by_frame = torch.einsum("abt,bt->ab", best_word, _weights(self.frame_weight, video))
        return (by_word + by_frame) / 2


def _weights(weigher: nn.Module | None, features: Features) -> Tensor:
    """How much each token counts, ``[B, N]``: they sum to 1 over what is real."""
    if weigher is None:
        logits = features.tokens.new_zeros(features.mask.shape)
    else:
        logits = weigher(features.tokens).squeeze(-1)
    # Not -inf: a clip without a real frame has to have a score, not 0/0.
    return logits.masked_fill(~features.mask, torch.finfo(logits.dtype).min).softmax(dim=-1)


def _weigher(dim: int) -> nn.Module:
    made = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 1))
    for layer in (made[0], made[2]):
        nn.init.normal_(layer.weight, std=0.02)
        nn.init.zeros_(layer.bias)
    return made


def _full(features: Tensor) -> Tensor:
    """At least single precision, whatever the towers compute in."""
    return features if features.dtype == torch.float64 else features.float()


def build(options: TokenWiseOptions, context: BuildContext) -> TokenWise:
    return TokenWise(context.backbone.dim, options)
