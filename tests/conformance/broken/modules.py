"""A plugin whose temporal modules each break one promise."""

from __future__ import annotations

import torch
from torch import nn

from harness import CheckpointFormatSpec, Options, TemporalModuleSpec, hookimpl
from harness.models import Backbone, CheckpointFormat, Features, TemporalModule, VideoBatch
from harness.testing.made_up import FrameMean


class Leaky(FrameMean):
    """Takes the mean of the batch away, as a norm over clips would."""

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        found = super().encode(backbone, video)
        return Features(found.tokens, found.mask, found.pooled - found.pooled.mean(dim=0))


class LeakyInTraining(FrameMean):
    """A batch norm, which looks at other clips in training alone."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim)

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        found = super().encode(backbone, video)
        return Features(found.tokens, found.mask, self.norm(found.pooled))


class Maskless(TemporalModule):
    """Averages padding too."""

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        frames = backbone.normalise(video.frames)
        tokens = backbone.encode_frames(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        return Features(tokens, video.mask, tokens.mean(dim=1))


class NaN(FrameMean):
    """Takes the log of something that may be negative."""

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        found = super().encode(backbone, video)
        return Features(found.tokens, found.mask, found.pooled.log())


class EmptyNaN(FrameMean):
    """Divides by the number of real frames, which may be none."""

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        found = super().encode(backbone, video)
        real = video.mask[..., None].to(found.tokens.dtype)
        return Features(found.tokens, found.mask, (found.tokens * real).sum(dim=1) / real.sum(dim=1))


class Halved(FrameMean):
    """Its scores are in half precision, where unlike ones become equal."""

    def score(self, text: Features, video: Features) -> torch.Tensor:
        return super().score(text, video).half()


class InPlace(FrameMean):
    """Paints over the frames that it is given."""

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        video.frames[:, 0] = 0
        return super().encode(backbone, video)


class Unpooled(FrameMean):
    """Has no vector for a clip, and the score that compares such."""

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        found = super().encode(backbone, video)
        return Features(found.tokens, found.mask)


class Untaught(FrameMean):
    """Lets no gradient through but that of the factor on its scores."""

    def score(self, text: Features, video: Features) -> torch.Tensor:
        return super().score(text, video).detach()


class Unsaved(FrameMean):
    """What decides its score is no parameter."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weights = torch.randn(dim)

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        found = super().encode(backbone, video)
        return Features(found.tokens, found.mask, found.pooled * self.weights)


class Counting(FrameMean):
    """Divides by the number of clips that this process has."""

    def logit_scale(self, backbone: Backbone) -> torch.Tensor:
        return super().logit_scale(backbone) * self.count

    count = 1

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        self.count = len(video)
        return super().encode(backbone, video)


class FloatMask(FrameMean):
    """Gives its mask as numbers."""

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        found = super().encode(backbone, video)
        return Features(found.tokens, found.mask.float(), found.pooled)


class Floated(FrameMean):
    """Makes single precision of whatever it gets, of double too."""

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        found = super().encode(backbone, video)
        return Features(found.tokens, found.mask, found.pooled.float())


class Unclaimed(CheckpointFormat):
    """Reads what it writes, and does not know it again."""

    def claims(self, tensors):
        return False

    def load(self, backbone, temporal, tensors, source):
        backbone.load_state_dict(tensors)

    def export(self, backbone, temporal):
        return backbone.state_dict()


def unclaimed(options) -> CheckpointFormat:
    return Unclaimed()


CLASSES = {
    "leaky": Leaky,
    "leaky_in_training": lambda: LeakyInTraining(32),
    "maskless": Maskless,
    "nan": NaN,
    "empty_nan": EmptyNaN,
    "halved": Halved,
    "in_place": InPlace,
    "unpooled": Unpooled,
    "untaught": Untaught,
    "unsaved": lambda: Unsaved(32),
    "counting": Counting,
    "float_mask": FloatMask,
    "floated": Floated,
    "no_module": dict,
    "plain": FrameMean,
}


class NamedOptions(Options):
    """``which`` of the classes."""

    which: str = ""


def build(options: NamedOptions, context) -> TemporalModule:
    return CLASSES[options.which]()


@hookimpl
def harness_checkpoint_formats():
    yield CheckpointFormatSpec(name="broken_unclaimed", summary="for tests", factory=f"{__name__}:unclaimed")


@hookimpl
def harness_temporal_modules():
    for name in CLASSES:
        yield TemporalModuleSpec(
            name=f"broken_{name}",
            summary="for tests",
            factory=f"{__name__}:build",
            options=NamedOptions,
            small={"which": name},
        )
    yield TemporalModuleSpec(
        name="broken_typo",
        summary="for tests",
        factory=f"{__name__}:build",
        options=NamedOptions,
        small={"wich": "plain"},
    )
