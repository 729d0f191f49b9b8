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

CHECKPOINT, MODEL = "checkpoint.pt", "model.safetensors"
FORMAT = 1

# What torch.load raises, depending on the bytes that it finds; not MemoryError and the like.
_UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    OSError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
)


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
    except _UNREADABLE as error:
        raise HarnessError(f"{path} cannot be read: {_reason(error)}", "delete it and start again") from error
    if state.get("format") != FORMAT:
        raise HarnessError(
            f"{path} is of format {state.get('format')}, this is {FORMAT}", "start the run again"
        )
    return state


def save_model(folder: Path, model: nn.Module) -> Path:
    """The finished model as safetensors."""
    return save_tensors(folder / MODEL, model.state_dict())


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    """A flat state dict as safetensors."""
    from safetensors.torch import save_file

    plain = {name: tensor.detach().contiguous().cpu().clone() for name, tensor in tensors.items()}
    return _replace(path, lambda draft: save_file(plain, draft))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """A flat state dict from safetensors, or from a torch file without code in it."""
    if not path.is_file():
        raise HarnessError(f"no checkpoint at {path}", "give a run folder or a checkpoint file")
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError):
        pass  # not this format: the other one says what is wrong
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise HarnessError(
            f"{path} is neither safetensors nor a torch file of plain tensors: {_reason(error)}",
            "files with pickled code in them are never opened; save it as safetensors",
        ) from error
    state = state.get("model", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise HarnessError(f"{path} is no state dict of tensors", "save model.state_dict() as safetensors")
    return state


def load_model(model: nn.Module, path: Path) -> None:
    """Fill a model strictly; every difference is named."""
    state, own = load_tensors(path), model.state_dict()
    missing = sorted(set(own) - set(state))
    unexpected = sorted(set(state) - set(own))
    misshapen = [
        f"{n} {tuple(state[n].shape)} for {tuple(own[n].shape)}"
        for n in own
        if n in state and own[n].shape != state[n].shape
    ]
    differences = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
        if names
    ]
    if differences:
        raise HarnessError(
            f"{path} is a checkpoint of another model: {'; '.join(differences)}",
            "use the method, backbone and options that it was trained with",
        )
    model.load_state_dict(state)


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
