"""What components are tried on: noise as clips, plain sentences, a small tower, weights that all matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.models import Backbone, BuildContext, Features, TemporalModule, TextBatch, Tokenizer, VideoBatch
from harness.models.assembly import build_backbone
from harness.plugins import Registry

FRAMES = 4
TEXT_LENGTH = 16

#: The tower under temporal modules and losses. Text and joint space are equally wide, and there are more
#: text layers than visual ones, as some modules start from them.
BACKBONE: Mapping[str, Any] = {
    "name": "tiny",
    "width": 32,
    "heads": 2,
    "layers": 2,
    "text_width": 32,
    "text_heads": 2,
    "text_layers": 3,
    "dim": 32,
}

#: Absolute, for features of about unit size in single precision.
TOLERANCE = 1e-4

_WORDS = (
    "a red circle",
    "two dogs",
    "someone",
    "the green bar",
    "a man in a boat",
    "it",
    "rain",
    "an old car",
)
_DEEDS = ("moves to the left", "sings", "is cut into five equal pieces and fried", "turns around slowly")


def tower(registry: Registry) -> Backbone:
    """The small tower, from random weights."""
    return build_backbone(BACKBONE, registry, load=False)


def context(backbone: Backbone, registry: Registry, load: bool = True) -> BuildContext:
    """What a temporal module is told when it is made; further towers are made without weights."""
    return BuildContext(
        backbone, FRAMES, TEXT_LENGTH, lambda value: build_backbone(value, registry, load=False), load
    )


def stir(module: nn.Module, seed: int = 7) -> None:
    """Move every weight a little: biases start at 0, norms at 1 and adapters at nothing, which would hide
    whatever is forgotten."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.is_floating_point():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw).to(parameter))


def without_dropout(module: nn.Module) -> None:
    """A result of training mode that is a function of what goes in."""
    for part in module.modules():
        if isinstance(part, nn.modules.dropout._DropoutNd):
            part.p = 0.0
        elif isinstance(part, nn.MultiheadAttention | nn.RNNBase):
            part.dropout = 0.0


def clips(count: int, size: int, frames: int = FRAMES, seed: int = 0) -> VideoBatch:
    """Noise, uint8 ``[count, frames, 3, size, size]``, all frames real."""
    draw = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, frames, 3, size, size), generator=draw, dtype=torch.uint8)
    times = torch.arange(frames, dtype=torch.float32).expand(count, -1)
    ids = tuple(f"clip{number}" for number in range(count))
    return VideoBatch(ids, pixels, torch.ones(count, frames, dtype=torch.bool), times)


def sentences(count: int, first: int = 0) -> tuple[str, ...]:
    """Texts of unlike lengths, all different."""
    return tuple(
        f"{_WORDS[n % len(_WORDS)]} {_DEEDS[n // len(_WORDS) % len(_DEEDS)]}"
        for n in range(first, first + count)
    )


def texts(raw: Sequence[str], tokenizers: Sequence[Tokenizer]) -> TextBatch:
    """A text batch as the engine makes it, the nth text about the nth clip."""
    ids = tuple(f"clip{number}" for number in range(len(raw)))
    length = min([TEXT_LENGTH, *(tokenizer.context for tokenizer in tokenizers)])
    return TextBatch(ids, ids, tuple(raw), {t.name: t.encode(raw, length) for t in tokenizers})


def largest_difference(one: Tensor, other: Tensor) -> float:
    """Of any two entries; infinite where shapes differ or something is not finite."""
    if one.shape != other.shape or not bool(torch.isfinite(one).all() and torch.isfinite(other).all()):
        return float("inf")
    return (one - other).abs().max().item() if one.numel() else 0.0


def apart(one: Features, other: Features) -> float:
    """By how much two features of the same clips or texts differ: pooled vectors, and real tokens."""
    found = 0.0
    if one.pooled is not None and other.pooled is not None:
        found = largest_difference(one.pooled, other.pooled)
    elif (one.pooled is None) != (other.pooled is None):
        return float("inf")
    width = min(one.mask.shape[1], other.mask.shape[1])
    if one.mask[:, width:].any() or other.mask[:, width:].any():
        return float("inf")
    if not torch.equal(one.mask[:, :width], other.mask[:, :width]):
        return float("inf")
    real = one.mask[:, :width]
    return max(found, largest_difference(one.tokens[:, :width][real], other.tokens[:, :width][real]))


class FrameMean(TemporalModule):
    """The plainest module there is: the mean of the frames' features. For what needs some module."""

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        frames = backbone.normalise(video.frames)
        tokens = backbone.encode_frames(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        real = video.mask[..., None].to(tokens.dtype)
        return Features(tokens, video.mask, (tokens * real).sum(dim=1) / real.sum(dim=1).clamp(min=1))
