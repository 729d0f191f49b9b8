"""Backbones: what :class:`harness.models.Backbone` promises, with random weights."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from harness.errors import HarnessError
from harness.models import Backbone
from harness.testing import made_up
from harness.testing.kit import Fault, NotChecked, Subject
from harness.testing.made_up import TOLERANCE, largest_difference
from harness.testing.plain import make, with_small

PREPARED = "the factory makes a tower without reading weights"

PICTURES, TEXTS = 3, 4


@dataclass
class Bench:
    """A tower, its weights stirred, in eval mode, with normalised pictures and texts before it."""

    subject: Subject
    backbone: Backbone
    pictures: Tensor
    tokens: Tensor
    mask: Tensor

    def frames(self, rows: slice = slice(None)) -> Tensor:
        with torch.no_grad():
            return self.backbone.encode_frames(self.pictures[rows])


def build(subject: Subject, seed: int = 0) -> Backbone:
    torch.manual_seed(seed)
    return make(subject, Backbone, False)


def prepare(subject: Subject) -> Bench:
    backbone = build(subject)
    made_up.stir(backbone)
    backbone.eval()
    pixels = made_up.clips(PICTURES, backbone.preprocess.size, frames=1).frames[:, 0]
    length = min(made_up.TEXT_LENGTH, backbone.tokenizer.context)
    encoding = backbone.tokenizer.encode(made_up.sentences(TEXTS), length)
    return Bench(subject, backbone, backbone.normalise(pixels), encoding.tokens, encoding.mask)


def declared(bench: Bench) -> None:
    """Name, provenance, width, pixels and tokens are stated, and are what they say."""
    backbone, pre = bench.backbone, bench.backbone.preprocess
    if not backbone.name or not backbone.pretraining:
        raise Fault(
            "name or pretraining is empty", "the leaderboard prints both; 'none (random)' without weights"
        )
    if not all(s > 0 for s in pre.std) or len(pre.mean) != 3 or not all(0 <= m <= 1 for m in pre.mean):
        raise Fault(f"mean {pre.mean} and std {pre.std} are not of pixels in 0..1", "divide by 255 first")
    if not bench.pictures.is_floating_point() or bench.pictures.shape[-2:] != (pre.size, pre.size):
        raise Fault(
            f"normalise gives {bench.pictures.dtype} {list(bench.pictures.shape)}", "floats of the same shape"
        )
    if (
        bench.tokens.dtype != torch.int64
        or bench.mask.dtype != torch.bool
        or bench.tokens.shape != bench.mask.shape
    ):
        raise Fault(
            f"the tokenizer gives {bench.tokens.dtype} and {bench.mask.dtype}",
            "int64 tokens and a bool mask, [B, L]",
        )
    if not isinstance(backbone.logit_scale, torch.nn.Parameter) or backbone.logit_scale.numel() != 1:
        raise Fault("logit_scale is not one parameter", "the learned log of the inverse temperature")


def pictures(bench: Bench) -> None:
    """``[N, D]``, finite, and each picture's by itself."""
    found = bench.frames()
    if found.shape != (PICTURES, bench.backbone.dim):
        raise Fault(
            f"encode_frames gives {list(found.shape)}",
            f"[{PICTURES}, {bench.backbone.dim}]: dim is {bench.backbone.dim}",
        )
    if not torch.isfinite(found).all():
        raise Fault("features of plain pictures are not finite")
    scale = max(1.0, found.abs().max().item())
    if largest_difference(found[:1], bench.frames(slice(0, 1))) > TOLERANCE * scale:
        raise Fault(
            "a picture's features leak across the batch: alone they are others", "treat each row by itself"
        )
    if largest_difference(found[:1], found[1:2]) < 1e-7 * scale:
        raise Fault("two pictures have the same features")


def texts(bench: Bench) -> None:
    """``pooled [B, D]`` and ``tokens [B, N, D]`` with their mask, finite, and each text's by itself."""
    with torch.no_grad():
        found = bench.backbone.encode_text(bench.tokens, bench.mask)
        alone = bench.backbone.encode_text(bench.tokens[1:2], bench.mask[1:2])
    if found.pooled is None or found.pooled.shape != (TEXTS, bench.backbone.dim):
        shape = None if found.pooled is None else list(found.pooled.shape)
        raise Fault(f"encode_text gives pooled {shape}", f"[{TEXTS}, {bench.backbone.dim}]")
    if found.tokens.ndim != 3 or found.mask.dtype != torch.bool or found.mask.shape != found.tokens.shape[:2]:
        raise Fault(
            f"encode_text gives tokens {list(found.tokens.shape)}, mask {found.mask.dtype}",
            "[B, N, D] and bool [B, N]",
        )
    if not torch.isfinite(found.pooled).all():
        raise Fault("features of plain texts are not finite")
    scale = max(1.0, found.pooled.abs().max().item())
    if made_up.apart(found[slice(1, 2)], alone) > TOLERANCE * scale:
        raise Fault(
            "a text's features leak across the batch: alone they are others", "treat each row by itself"
        )


def view(bench: Bench) -> None:
    """Taken apart and run plainly, the visual tower gives its own features."""
    try:
        tower = bench.backbone.visual
    except HarnessError as error:
        raise NotChecked(f"refused by name: {error.message}") from error
    with torch.no_grad():
        found, whole = tower.forward(bench.pictures), bench.frames()
    difference = largest_difference(found, whole) / max(1.0, whole.abs().max().item())
    if not difference <= 1e-5:
        raise Fault(
            f"run piece by piece the visual tower differs by {difference:.2g}",
            "the view has to include every norm, scale and position",
        )


def seeds(bench: Bench) -> None:
    """One seed, one tower."""
    first, second = build(bench.subject, 3).state_dict(), build(bench.subject, 3).state_dict()
    differing = [name for name, value in first.items() if not torch.equal(value, second[name])]
    if differing:
        raise Fault(
            f"two towers of one seed differ: {differing[0]}", "draw from torch's global random numbers"
        )


def weights(bench: Bench) -> None:
    """What ``weights()`` returns is a file for the option ``weights``: another tower is filled by it."""
    if "weights" not in bench.subject.spec.options.__struct_fields__:
        raise NotChecked("it has no option 'weights'")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        save_file({name: value.detach().clone() for name, value in bench.backbone.weights().items()}, file)
        torch.manual_seed(9)
        filled = make(with_small(bench.subject, weights=str(file)), Backbone, True).eval()
    with torch.no_grad():
        difference = largest_difference(filled.encode_frames(bench.pictures), bench.frames())
    if difference > TOLERANCE:
        raise Fault(
            f"a tower filled from its own weights() differs by {difference:.2g}",
            "return every parameter and buffer that counts",
        )


def depths(bench: Bench) -> None:
    """Every parameter stands before the layers (0), in one of them, or behind (None)."""
    try:
        found = {name: bench.backbone.depth(name) for name, _ in bench.backbone.named_parameters()}
    except HarnessError as error:
        raise NotChecked(f"refused by name: {error.message}") from error
    wrong = [
        name
        for name, depth in found.items()
        if depth is not None and (not isinstance(depth, int) or depth < 0)
    ]
    if wrong:
        raise Fault(f"the depth of {wrong[0]} is {found[wrong[0]]!r}", "0, the number of its layer, or None")


FORM = (("what it needs is declared", declared),)
CHECKS = (
    ("pictures have features of their own", pictures),
    ("texts have features of their own", texts),
    ("the tower taken apart equals the whole", view),
    ("a seed decides every weight", seeds),
    ("its weights are a file for itself", weights),
    ("every parameter has a depth", depths),
)
