"""Write a finished model under the names of a checkpoint format: `harness export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from harness.engine.checkpoint import save_tensors
from harness.engine.finished import Finished
from harness.engine.loading import finished_model
from harness.errors import HarnessError
from harness.models.assembly import VideoTextModel, build_checkpoint_format
from harness.plan.schema import Recipe
from harness.plugins import Registry
from harness.results.digest import sha256_file


@dataclass(frozen=True)
class Exported:
    """What was written: ``tensors`` in a file of ``size`` bytes."""

    path: Path
    format: str
    tensors: int
    size: int
    sha256: str


def check_out(out: Path, force: bool) -> None:
    """Refuse a place that nothing can be written to, or that holds a file unless ``force``."""
    if out.is_dir():
        raise HarnessError(f"{out} is a folder", "give the name of a file in it")
    if not out.parent.is_dir():
        raise HarnessError(f"there is no folder {out.parent}", "make it first")
    if out.exists() and not force:
        raise HarnessError(f"{out} exists", "give another name, or --force to replace it")


def export(finished: Finished, recipe: Recipe, registry: Registry, out: Path, *, to: str) -> Exported:
    """Write the model that ``finished`` holds and ``recipe`` describes, in its own number types.

    ``to`` names the format; "" is the only one that takes the model. A name that ends in
    ``.safetensors`` is written as such, any other as a torch file with a bare state dict; what was
    there is replaced (:func:`check_out` asks first).
    """
    known = [registry.find("checkpoint formats", to)[0].name] if to else _formats(registry)
    model = finished_model(finished.file, recipe, registry, torch.device("cpu"))
    name, tensors = _taken(model, known, registry)
    save_tensors(out, tensors)
    return Exported(out, name, len(tensors), out.stat().st_size, sha256_file(out))


def _formats(registry: Registry) -> list[str]:
    known = [spec.name for spec, _ in registry.specs("checkpoint formats")]
    if not known:
        raise HarnessError("no checkpoint format is installed", "install a plugin that brings one")
    return known


def _taken(model: VideoTextModel, formats: list[str], registry: Registry) -> tuple[str, dict[str, Tensor]]:
    """The model's tensors under the names of the only format that takes it, with that format's name; of
    several, the only one that would read them back as a whole model."""
    taken: dict[str, dict[str, Tensor]] = {}
    whole: list[str] = []
    refused: dict[str, HarnessError] = {}
    for name in formats:
        made = build_checkpoint_format({"name": name}, registry)
        try:
            taken[name] = made.export(model.backbone, model.temporal)
        except HarnessError as error:
            refused[name] = error
        else:
            if made.claims(taken[name]):
                whole.append(name)
    if len(taken) > 1 and len(whole) == 1:
        return whole[0], taken[whole[0]]
    if len(taken) > 1:
        raise HarnessError(f"{len(taken)} formats take this model: {', '.join(taken)}", "choose with --to")
    if not taken and len(refused) == 1:
        raise next(iter(refused.values()))
    if not taken:
        raise HarnessError(
            f"none of the formats {', '.join(refused)} takes this model", "--to NAME says what keeps it out"
        )
    return next(iter(taken.items()))
