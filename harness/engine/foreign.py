"""Weights files of every format: ours, those that plugins know, and backbones alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from harness.engine import checkpoint
from harness.errors import HarnessError
from harness.models import CheckpointFormat
from harness.models.assembly import VideoTextModel, build_format
from harness.models.files import is_program, read_tensors, some
from harness.plugins import Registry

#: How the keys of our own files begin: the two parts of a model.
_OWN = ("backbone.", "temporal.")


@dataclass(frozen=True)
class Content:
    """What a file holds: ``tensors`` of a whole model in ``format`` (None: our own), or, where ``bare``
    says why, at most the weights of a backbone."""

    file: Path
    tensors: dict[str, Tensor]
    format: CheckpointFormat | None = None
    bare: str = ""

    def fill(self, model: VideoTextModel) -> None:
        """Fill a model strictly; HarnessError, and nothing changed, where the file is of another one."""
        assert not self.bare
        if self.format is None:
            checkpoint.load_model(model, self.tensors, self.file)
        else:
            self.format.load(model.backbone, model.temporal, self.tensors, str(self.file))


def recognise(file: Path, components: Registry) -> Content:
    """What a file holds, by its keys. Raises HarnessError where two formats claim it."""
    if file.is_file() and is_program(file):
        return Content(file, {}, bare="it is a TorchScript program")
    tensors = read_tensors(file)
    if all(key.startswith(_OWN) for key in tensors):
        return Content(file, tensors)
    claims = {name: made for name, made in formats(components).items() if made.claims(tensors)}
    if len(claims) > 1:
        raise HarnessError(
            f"{file} is claimed by the checkpoint formats {' and '.join(claims)}", "uninstall one of them"
        )
    if claims:
        return Content(file, tensors, next(iter(claims.values())))
    return Content(file, tensors, bare=f"its keys are {some(list(tensors))}")


def formats(components: Registry) -> dict[str, CheckpointFormat]:
    """Every installed format by name."""
    found = components.specs("checkpoint formats")
    return {spec.name: build_format(spec.name, components) for spec, _ in found}
