"""A whole model in a file: the harness's own, or of a format that a plugin knows.

A file that is neither holds at most a backbone, and is read by the backbone's own factory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from harness.engine import checkpoint
from harness.errors import HarnessError
from harness.models.assembly import VideoTextModel, build_checkpoint_format
from harness.models.checkpoint_format import CheckpointFormat
from harness.models.files import is_torchscript, read_tensors
from harness.plugins import Registry

# How the keys of a model's own state dict start.
_OWN = ("backbone.", "temporal.")


@dataclass(frozen=True)
class ModelFile:
    """The tensors of ``path`` and the format of their names; None for the harness's own."""

    path: Path
    tensors: dict[str, Tensor]
    format: CheckpointFormat | None

    def fill(self, model: VideoTextModel) -> None:
        """Take over every tensor; :class:`HarnessError`, with nothing changed, where one differs."""
        if self.format is None:
            checkpoint.load_model(model, self.tensors, self.path)
        else:
            self.format.load(model.backbone, model.temporal, self.tensors, str(self.path))


def read_model(path: Path, registry: Registry) -> ModelFile | None:
    """The whole model in a file; None where it is of no known format, as the weights of a backbone are.

    Raises :class:`HarnessError` for what is no file of tensors, and for one that two formats claim.
    """
    if path.is_file() and is_torchscript(path):
        return None
    tensors = read_tensors(path)
    if all(key.startswith(_OWN) for key in tensors):
        return ModelFile(path, tensors, None)
    formats = {
        spec.name: build_checkpoint_format({"name": spec.name}, registry)
        for spec, _ in registry.specs("checkpoint formats")
    }
    claiming = {name: known for name, known in formats.items() if known.claims(tensors)}
    if len(claiming) > 1:
        raise HarnessError(
            f"{path} is claimed by {len(claiming)} checkpoint formats: {', '.join(claiming)}",
            "uninstall the plugin of one of them (`harness describe NAME` says which it is)",
        )
    return next((ModelFile(path, tensors, known) for known in claiming.values()), None)
