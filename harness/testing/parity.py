"""Parity fixtures: reference figures that a plugin ships, small enough to lie in its wheel.

In the package of the plugin, a folder ``parity`` with pairs of files: ``NAME.safetensors`` holds inputs
and the reference's outputs, ``NAME.json`` says what they are of::

    {"kind": "losses", "component": "my_loss", "options": {}, "tolerance": 1e-5,
     "source": "the repository and commit that the outputs were made with"}

Tensors by kind, outputs last; of several outputs those that are there are compared:

``losses``: ``similarity [N, N]``, ``logit_scale``, and ``positives`` bool (the diagonal where it is not
there); ``loss``, ``similarity.grad``.
``temporal modules``: ``frames [B, T, 32]``, what the tower makes of each frame, ``mask`` bool ``[B, T]``,
``weights.*`` the module's whole state; ``pooled``, ``tokens``.
``postprocessors``: ``scores [texts, videos]``, ``missing`` bool ``[videos]``; ``t2v``, ``v2t``.
Not covered: towers, whose weights do not fit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import load_file
from torch import Tensor

from harness.models import Batch, LossInputs, VideoBatch
from harness.models.assembly import build_loss, make
from harness.testing import made_up
from harness.testing.kit import Fault, NotChecked, Subject

#: Bytes of a fixture's tensors, at most.
LIMIT = 200_000

Tensors = Mapping[str, Tensor]


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON file of a fixture. ``tolerance`` is absolute."""

    kind: str
    component: str
    source: str
    options: dict[str, Any] = {}
    tolerance: float = 1e-5


def check(subject: Subject) -> None:
    """Every fixture of a plugin is of its own component and reproduced."""
    found = fixtures(subject)
    if not found:
        raise NotChecked("it ships no parity fixture")
    for path in found:
        compare(subject, path)


def fixtures(subject: Subject) -> list[Path]:
    """The JSON files in the folder ``parity`` of the package that the entry point is in."""
    module = subject.plugin.target.partition(":")[0]
    package = module if hasattr(subject.plugin.module, "__path__") else module.rpartition(".")[0]
    folder = Path(str(files(package))) / "parity" if package else Path()
    return sorted(folder.glob("*.json")) if package and folder.is_dir() else []


def compare(subject: Subject, path: Path) -> None:
    """Raise :class:`Fault` where an output differs from the reference's by more than its tolerance."""
    about = _about(path)
    tensors = load_file(path.with_suffix(".safetensors"))
    if sum(tensor.nbytes for tensor in tensors.values()) > LIMIT:
        raise Fault(
            f"{path.name}: more than {LIMIT} bytes of tensors", "fewer rows or a narrower case show the same"
        )
    if about.kind not in _RUNS:
        raise Fault(
            f"{path.name}: nothing is compared for the kind '{about.kind}'", f"one of {', '.join(_RUNS)}"
        )
    made = _RUNS[about.kind](subject, {"name": about.component, **about.options}, tensors)
    compared = made.keys() & tensors.keys()
    if not compared:
        raise Fault(
            f"{path.name}: no output is there to compare",
            f"outputs of {about.kind}: {', '.join(sorted(made))}",
        )
    for name in sorted(compared):
        difference = made_up.largest_difference(made[name].double(), tensors[name].double())
        if not difference <= about.tolerance:
            raise Fault(
                f"{path.name}: {name} of {about.component} differs from the reference by {difference:.2g}, "
                f"{about.tolerance:.2g} is allowed",
                f"made with: {about.source}",
            )


def _about(path: Path) -> About:
    try:
        return msgspec.convert(json.loads(path.read_text(encoding="utf-8")), About)
    except (ValueError, msgspec.ValidationError) as error:
        raise Fault(
            f"{path.name} does not say what it is of: {error}",
            "kind, component and source; options, tolerance",
        ) from error


def _loss(subject: Subject, value: dict[str, Any], given: Tensors) -> dict[str, Tensor]:
    similarity = given["similarity"].clone().requires_grad_()
    positives = given.get("positives", torch.eye(len(similarity), dtype=torch.bool))
    inputs = LossInputs(
        {}, positives, given["logit_scale"], lambda text, video: similarity, Batch({}), lambda tensor: tensor
    )
    loss = build_loss(value, subject.registry)(inputs)
    [grad] = torch.autograd.grad(loss, similarity)
    return {"loss": loss.detach(), "similarity.grad": grad}


def _temporal(subject: Subject, value: dict[str, Any], given: Tensors) -> dict[str, Tensor]:
    backbone = made_up.tower(subject.registry).eval()
    features, mask = given["frames"], given["mask"]
    module = make(
        value, "temporal modules", subject.registry, made_up.context(backbone, subject.registry)
    ).eval()
    module.load_state_dict(
        {n.removeprefix("weights."): t for n, t in given.items() if n.startswith("weights.")}
    )
    backbone.encode_frames = lambda frames: features.flatten(0, 1)
    video = made_up.clips(len(mask), backbone.preprocess.size, mask.shape[1])
    with torch.no_grad():
        found = module.encode(backbone, VideoBatch(video.ids, video.frames, mask, video.times))
    outputs = {"tokens": found.tokens, "pooled": found.pooled}
    return {name: tensor for name, tensor in outputs.items() if tensor is not None}


def _postprocessor(subject: Subject, value: dict[str, Any], given: Tensors) -> dict[str, Tensor]:
    post = make(value, "postprocessors", subject.registry)
    t2v, v2t = post(given["scores"].double().numpy(), given["missing"].numpy())
    return {"t2v": torch.from_numpy(t2v), "v2t": torch.from_numpy(v2t)}


_RUNS: dict[str, Callable[[Subject, dict[str, Any], Tensors], dict[str, Tensor]]] = {
    "losses": _loss,
    "temporal modules": _temporal,
    "postprocessors": _postprocessor,
}
