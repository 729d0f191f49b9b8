"""X-Pool's head: a text asks the frames of a clip, and is compared with what it gets (paper, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness import HarnessError
from harness.models import Backbone, BuildContext, Features, TemporalModule, TextBatch, VideoBatch
from harness_xpool.plugin import XPoolOptions


class TextAttention(nn.Module):
    """One cross-attention from a text to the frames, then a residual linear map, each behind a norm.

    All linear maps start as the identity, so that training starts from CLIP's own space.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_in, self.norm_pooled, self.norm_out = (nn.LayerNorm(dim) for _ in range(3))
        self.query, self.key, self.value, self.out, self.linear = (_identity(dim) for _ in range(5))
        self.dropout = nn.Dropout(dropout)

    def forward(self, texts: Tensor, frames: Tensor, mask: Tensor) -> Tensor:
        """Texts ``[A, D]``, frames ``[B, T, D]`` with ``mask [B, T]``: a clip for each pair, ``[A, B, D]``."""
        frames = self.norm_in(frames)
        queries = self.query(self.norm_in(texts)).unflatten(-1, (self.heads, -1))
        keys, values = (f(frames).unflatten(-1, (self.heads, -1)) for f in (self.key, self.value))
        logits = torch.einsum("ahd,bthd->abht", queries, keys) * keys.shape[-1] ** -0.5
        # Not -inf: a clip without a real frame has to have a score, not 0/0.
        logits = logits.masked_fill(~mask[None, :, None], torch.finfo(logits.dtype).min)
        seen = torch.einsum("abht,bthd->abhd", logits.softmax(dim=-1), values).flatten(2)
        seen = self.norm_pooled(self.out(seen))
        return self.norm_out(seen + self.dropout(self.linear(seen)))


def _identity(dim: int) -> nn.Linear:
    made = nn.Linear(dim, dim)
    nn.init.eye_(made.weight)
    nn.init.zeros_(made.bias)
    return made


class TextPooling(TemporalModule):
    """Frames by the tower, each alone; a text pools those that it is about."""

    pairwise = True
    padding = "masked"

    def __init__(self, dim: int, options: XPoolOptions) -> None:
        super().__init__()
        self.pool = TextAttention(dim, options.heads, options.dropout)

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        frames = backbone.normalise(video.frames)
        features = backbone.encode_frames(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        return Features(_full(features), video.mask)

    def encode_text(self, backbone: Backbone, text: TextBatch) -> Features:
        """The pooled vector only, which is all that a pair reads of a text."""
        vector = _full(super().encode_text(backbone, text).vector)
        mask = torch.ones(len(vector), 1, dtype=torch.bool, device=vector.device)
        return Features(vector[:, None], mask, vector)

    def score(self, text: Features, video: Features) -> Tensor:
        """The cosine ``[texts, videos]`` of each text with the frames as that text pools them."""
        pooled = functional.normalize(self.pool(text.vector, video.tokens, video.mask), dim=-1)
        return torch.einsum("ad,abd->ab", functional.normalize(text.vector, dim=-1), pooled)


def _full(features: Tensor) -> Tensor:
    """At least single precision, whatever the towers compute in."""
    return features if features.dtype == torch.float64 else features.float()


def build(options: XPoolOptions, context: BuildContext) -> TextPooling:
    dim = context.backbone.dim
    if dim % options.heads:
        raise HarnessError(
            f"{options.heads} heads do not divide the {dim} channels of {context.backbone.name}",
            "set model.temporal.heads to a divisor",
        )
    return TextPooling(dim, options)
