"""Reads weights files of any origin: nothing in them is run, and they are told apart by content.

A torch file is a pickle and may call anything, so it is read with ``weights_only``. A TorchScript
archive is a program as well and is never opened here.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from harness.errors import HarnessError

# Where training scripts put the model inside a checkpoint, and what they wrap it in.
_CONTAINERS = ("state_dict", "model", "model_state_dict")
_WRAPPERS = ("module.", "_orig_mod.")
# Keys of a file that goes beside a model's and holds what an optimizer remembers.
_OPTIMIZER = ("optimizer_state_dict", "optimizer", "param_groups")

_SAFETENSORS_HEADER_LIMIT = 100_000_000

#: What torch.load raises beside UnpicklingError, by the bytes that it finds; not MemoryError and the like.
UNREADABLE = (RuntimeError, EOFError, OSError, LookupError, TypeError, ValueError, AttributeError)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors or torch file, on the CPU, in the file's own number types.

    They are taken out of a checkpoint (``state_dict``, ``model``, ``model_state_dict``), and the
    prefixes of distributed and compiled modules (``module.``, ``_orig_mod.``) off their names.
    Raises :class:`HarnessError` for anything else than named tensors, without running it.
    """
    if not path.is_file():
        raise HarnessError(f"there is no weights file {path}", "check the path")
    with path.open("rb") as file:
        start = file.read(16)
    if _is_safetensors(start, path):
        return _bare(_read_safetensors(path), path)
    if is_torchscript(path):
        raise HarnessError(
            f"{path} is a TorchScript program, which is not run",
            "give a file of tensors instead (safetensors, or torch.save of a state_dict)",
        )
    if start.startswith((b"PK", b"\x80")):  # torch before 1.6 wrote a plain pickle
        return _bare(_read_torch(path), path)
    raise HarnessError(
        f"{path} is neither a safetensors nor a torch file", "check that its download was complete"
    )


def is_torchscript(path: Path) -> bool:
    """Whether a file is an archive of ``torch.jit.save``, as OpenAI published CLIP."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile as error:
        raise _damaged(path) from error


def differences(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """What keeps ``tensors`` from filling a model with the state ``own``; empty where nothing does.

    Counts what is missing, unexpected and of another shape, and names the first three of each.
    """
    problems = {
        "missing": [key for key in own if key not in tensors],
        "unexpected": [key for key in tensors if key not in own],
        "of another shape": [
            f"{key} {list(tensors[key].shape)} instead of {list(own[key].shape)}"
            for key in own
            if key in tensors and tensors[key].shape != own[key].shape
        ],
    }
    return "; ".join(f"{len(keys)} {what}: {_some(keys)}" for what, keys in problems.items() if keys)


def _is_safetensors(start: bytes, path: Path) -> bool:
    """A header length in 8 bytes, then the header, which is JSON."""
    if path.suffix == ".safetensors":
        return True
    length = int.from_bytes(start[:8], "little")
    return start[8:9] == b"{" and 2 <= length <= _SAFETENSORS_HEADER_LIMIT


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(path) from error


def _read_torch(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise HarnessError(
            f"{path} holds more than tensors, and reading it could run code that it carries",
            "save the tensors alone with torch.save(model.state_dict(), FILE), or as safetensors",
        ) from error
    except UNREADABLE as error:
        raise _damaged(path) from error


def _bare(content: object, path: Path) -> dict[str, Tensor]:
    """Take the state dict out of its checkpoint, and the wrappers off its keys."""
    for container in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
    if not isinstance(content, Mapping) or not content:
        raise HarnessError(f"{path} holds no state dict", "save the tensors with model.state_dict()")
    strange = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if strange and any(key in content for key in _OPTIMIZER):
        raise HarnessError(
            f"{path} holds the state of an optimizer, not a model",
            "give the model's own file, which training scripts save beside it",
        )
    if strange:
        raise HarnessError(
            f"{path} holds {_some(strange)}, which {'is' if len(strange) == 1 else 'are'} not tensors",
            "save the tensors alone with torch.save(model.state_dict(), FILE)",
        )
    tensors = {str(key): value for key, value in content.items()}
    while wrapper := next((w for w in _WRAPPERS if all(k.startswith(w) for k in tensors)), ""):
        tensors = {key.removeprefix(wrapper): value for key, value in tensors.items()}
    return tensors


def _some(keys: Sequence[str], most: int = 3) -> str:
    return ", ".join(keys[:most]) + (f" and {len(keys) - most} more" if len(keys) > most else "")


def _damaged(path: Path) -> HarnessError:
    return HarnessError(f"{path} is damaged or cut short", "download or copy it again")
