"""What all heads of CLIP4Clip share: frame features, and the tail of those that compare vectors."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

from harness import HarnessError
from harness.models import Backbone, BuildContext, Features, TemporalModule, TextView, VideoBatch
from harness_clip4clip.options import LinearPatchOptions
from harness_clip4clip.patches import TemporalPatches


class FrameModule(TemporalModule):
    """Runs the visual tower over every frame; ``patches`` replaces its projection (None: 2d)."""

    padding = "masked"

    def __init__(self, patches: TemporalPatches | None) -> None:
        super().__init__()
        self.patches = patches

    def hold_in_half(self) -> None:
        """The patches are the tower's; what the heads add stays in single precision."""
        if self.patches is not None:
            self.patches.half()

    def frame_features(self, backbone: Backbone, video: VideoBatch) -> Tensor:
        """Projected features ``[B, T, D]``, not unit length, in at least single precision."""
        frames = backbone.normalise(video.frames)
        count = frames.shape[:2]
        if self.patches is None:
            features = backbone.encode_frames(frames.flatten(0, 1))
        else:
            # A padded frame is its neighbour's neighbour, and has to be what lies beyond the ends.
            frames = frames * video.mask[:, :, None, None, None].to(frames.dtype)
            patches = self.patches
            features = backbone.visual.forward(
                frames.flatten(0, 1), lambda flat: patches(flat.unflatten(0, count))
            )
        features = features.unflatten(0, count)
        return features if features.dtype == torch.float64 else features.float()


class LooseHead(FrameModule):
    """A head that makes one vector per clip: the masked mean of unit-length frames.

    Subclasses say with :meth:`mix` what frames learn from each other before that.
    """

    @abstractmethod
    def mix(self, features: Tensor, mask: Tensor) -> Tensor:
        """Frame features ``[B, T, D]`` and ``mask [B, T]`` to features of the same shape."""

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        features = self.frame_features(backbone, video)
        # The reference's heads are in single precision whatever the towers are in.
        with torch.autocast(features.device.type, enabled=False):
            mixed = self.mix(features, video.mask)
            return Features(mixed, video.mask, mean_of_units(mixed, video.mask))


def mean_of_units(frames: Tensor, mask: Tensor) -> Tensor:
    """Frames ``[B, T, D]`` to unit length, then the mean ``[B, D]`` over those in ``mask [B, T]``.

    A clip without a real frame has a zero vector, never 0/0: it scores 0 and poisons nothing.
    """
    weights = mask.unsqueeze(-1).to(frames.dtype)
    unit = functional.normalize(frames, dim=-1) * weights
    return unit.sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def make_patches(options: LinearPatchOptions, context: BuildContext) -> TemporalPatches | None:
    """What replaces the tower's patch projection, as ``linear_patch`` says."""
    return TemporalPatches(context.backbone.visual) if options.linear_patch == "3d" else None


def text_layers(context: BuildContext, head: str, positions: int) -> TextView:
    """The text tower that ``head`` starts from; :class:`HarnessError` where it does not fit.

    ``positions`` is the length of the sequences that the head's own layers will see.
    """
    backbone = context.backbone
    text = backbone.text
    text.require("layers", f"temporal module '{head}'")
    if text.width != backbone.dim:
        raise HarnessError(
            f"temporal module '{head}' starts from the text tower's layers, and those of {backbone.name} "
            f"are {text.width} wide while its features are {backbone.dim} wide",
            "choose a backbone whose two widths agree, such as ViT-B-32",
        )
    if positions > len(text.positions):
        raise HarnessError(
            f"temporal module '{head}' would need {positions} positions at data.frames="
            f"{context.frames}, and the text tower of {backbone.name} has {len(text.positions)}",
            f"set data.frames to at most {context.frames - positions + len(text.positions)}",
        )
    return text
