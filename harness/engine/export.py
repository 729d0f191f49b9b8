"""Write a finished model under other people's names: `harness export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from harness.engine import checkpoint
from harness.engine.finished import Finished
from harness.engine.foreign import formats
from harness.engine.loading import finished_model
from harness.errors import HarnessError
from harness.models.assembly import VideoTextModel
from harness.plan.schema import Recipe
from harness.plugins import Registry
from harness.results.digest import sha256_file


@dataclass(frozen=True)
class Exported:
    """What was written, in which format."""

    file: Path
    format: str
    tensors: int
    bytes: int
    sha256: str


def export(
    finished: Finished, recipe: Recipe, wanted: str, out: Path, registry: Registry, force: bool
) -> Exported:
    """The model that ``recipe`` describes in the format ``wanted`` ("": the only one that takes it).

    ``out`` is safetensors by that suffix, else a torch file with a bare state dict. Raises
    HarnessError where it exists, unless ``force``, and where the format has no place for the model.
    """
    if out.exists() and not force:
        raise HarnessError(f"{out} exists", "choose another name, or replace it with --force")
    if wanted:
        wanted = registry.find("checkpoint formats", wanted)[0].name
    model = finished_model(finished.file, recipe, registry, torch.device("cpu"))
    name, tensors = _in_format(model, wanted, registry)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".safetensors":
        checkpoint.save_tensors(out, tensors)
    else:
        checkpoint.save_state_dict(out, tensors)
    return Exported(out, name, len(tensors), out.stat().st_size, sha256_file(out))


def _in_format(model: VideoTextModel, wanted: str, registry: Registry) -> tuple[str, dict[str, Tensor]]:
    taken: dict[str, dict[str, Tensor]] = {}
    refusals: dict[str, HarnessError] = {}
    for name, made in formats(registry).items():
        if wanted in ("", name):
            try:
                taken[name] = made.export(model.backbone, model.temporal)
            except HarnessError as error:
                refusals[name] = error
    if len(taken) == 1:
        return next(iter(taken.items()))
    if taken:
        raise HarnessError(f"several formats take this model: {', '.join(taken)}", "choose one with --to")
    if len(refusals) == 1:
        raise next(iter(refusals.values()))
    raise HarnessError(
        "no installed format takes this model"
        + "".join(f"; {name}: {error.message}" for name, error in refusals.items()),
        "`harness list checkpoint-formats` shows them",
    )
