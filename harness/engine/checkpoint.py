"""Checkpoints: one truth, in the run folder, written atomically, read without running code.

``checkpoint.pt`` is what ``--resume`` continues from; ``model.safetensors`` is the finished model.
Both are independent of the number of workers.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import HarnessError
from harness.models.files import UNREADABLE, differences, read_tensors

CHECKPOINT, MODEL, BEST = "checkpoint.pt", "model.safetensors", "best.safetensors"
FORMAT = 1


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Replace the folder's checkpoint. ``state`` holds tensors and plain values only."""
    _replace(folder / CHECKPOINT, lambda draft: torch.save({"format": FORMAT, **state}, draft))


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The folder's checkpoint, or None where there is none yet."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, *UNREADABLE) as error:
        raise HarnessError(f"{path} cannot be read: {_reason(error)}", "delete it and start again") from error
    if state.get("format") != FORMAT:
        raise HarnessError(
            f"{path} is of format {state.get('format')}, this is {FORMAT}", "start the run again"
        )
    return state


def save_model(folder: Path, model: nn.Module) -> Path:
    """The finished model as safetensors."""
    return save_tensors(folder / MODEL, model.state_dict())


def save_best(folder: Path, model: nn.Module) -> Path:
    """The model of the best epoch so far, where epochs are judged."""
    return save_tensors(folder / BEST, model.state_dict())


def load_best(folder: Path, model: nn.Module) -> None:
    """Take the model back to its best epoch."""
    load_model(model, read_tensors(folder / BEST), folder / BEST)


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    """A flat state dict: safetensors under a name that ends so, else a torch file."""
    from safetensors.torch import save_file

    plain = {name: tensor.detach().contiguous().cpu().clone() for name, tensor in tensors.items()}
    if path.suffix == ".safetensors":
        return _replace(path, lambda draft: save_file(plain, draft))

    def save(draft: Path) -> None:
        with draft.open("wb") as file:  # given a path, torch would write the draft's name into the file
            torch.save(plain, file)

    return _replace(path, save)


def load_model(model: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Fill a model strictly with what :func:`save_model` wrote; ``source`` is what errors name."""
    if problems := differences(tensors, model.state_dict()):
        raise HarnessError(
            f"{source} is a checkpoint of another model: {problems}",
            "use the method, backbone and options that it was trained with",
        )
    model.load_state_dict(tensors)


def _reason(error: Exception) -> str:
    """One line on what is wrong, without torch's advice to run what the file holds."""
    lines = [line for line in str(error).splitlines() if line.strip() and "weights_only" not in line]
    return next(iter(lines), type(error).__name__)


def _replace(path: Path, write: Callable[[Path], None]) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(draft)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path
