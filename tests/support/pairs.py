"""A plugin of the tests: a cross-encoder, and a loss with random parameters of its own."""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness import LossSpec, Options, TemporalModuleSpec, hookimpl
from harness.models import (
    Backbone,
    BuildContext,
    Features,
    Loss,
    LossInputs,
    TemporalModule,
    TextBatch,
    VideoBatch,
)
from harness.plugins import Plugin, registry

NAME = "tests_pairs"


class CrossEncoder(TemporalModule):
    """Every word attends to the frames of a clip; a small network judges what it finds there."""

    pairwise = True
    padding = "masked"

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim, bias=False)
        # No bias at the end: InfoNCE does not see one, and its gradient would be rounding noise.
        self.judge = nn.Sequential(nn.Linear(3 * dim, 32), nn.GELU(), nn.Linear(32, 1, bias=False))

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        frames = backbone.normalise(video.frames)
        tokens = backbone.encode_frames(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        return Features(tokens, video.mask)

    def encode_text(self, backbone: Backbone, text: TextBatch) -> Features:
        found = super().encode_text(backbone, text)
        return Features(found.tokens, found.mask)

    def score(self, text: Features, video: Features) -> Tensor:
        """``[A, B]``: words ``[A, L, D]`` against frames ``[B, T, D]``, each pair on its own."""
        words = functional.normalize(text.tokens, dim=-1)
        frames = functional.normalize(video.tokens, dim=-1)
        seen = torch.einsum("ald,btd->ablt", self.query(words), self.key(frames))
        seen = seen.masked_fill(~video.mask[None, :, None], float("-inf")).softmax(dim=-1)
        found = torch.einsum("ablt,btd->abld", seen, frames)
        said = words[:, None].expand_as(found)
        real = text.mask[:, None, :, None].to(words.dtype)
        judged = self.judge(torch.cat([said, found, said * found], dim=-1)) * real
        return judged.sum(dim=(2, 3)) / real.sum(dim=(2, 3))

    def logit_scale(self, backbone: Backbone) -> Tensor:
        return backbone.logit_scale.new_ones(())


class Recoded(Loss):
    """InfoNCE of texts, with a penalty on the clips' features in a random, learned direction.

    The penalty is a sum over this worker's own samples, as only :attr:`LossInputs.total` can add it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.randn(64))

    def forward(self, inputs: LossInputs) -> Tensor:
        logits = inputs.logit_scale * inputs.similarity("text", "video")
        own = torch.arange(len(logits))
        clips = inputs.features["video"].vector
        own_share = torch.tensor(float(len(inputs.batch.clip_ids)), dtype=logits.dtype)
        spread = inputs.total(self.direction.square().sum() * own_share) / len(clips)
        along = (clips @ self.direction).square().mean()
        return functional.cross_entropy(logits, own) + 0.01 * along + spread


def cross_encoder(options: Options, context: BuildContext) -> CrossEncoder:
    return CrossEncoder(context.backbone.dim)


def recoded(options: Options) -> Recoded:
    return Recoded()


@hookimpl
def harness_temporal_modules():
    return [TemporalModuleSpec(name=NAME, summary="for tests", factory=f"{__name__}:cross_encoder")]


@hookimpl
def harness_losses():
    return [LossSpec(name="tests_recoded", summary="for tests", factory=f"{__name__}:recoded")]


def register() -> None:
    """Make the plugin known to this process, once."""
    if NAME not in registry().components["temporal modules"]:
        registry().add(Plugin("pairs", "tests", "1", __name__, sys.modules[__name__]))
