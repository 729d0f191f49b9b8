"""Weights files: tensors out of them, told apart by content, without running code that came in them.

A torch file is a pickle and may call anything, so it is read with ``weights_only``. A TorchScript
archive is a program; it is recognised (:func:`is_program`) and never opened here.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from harness.errors import HarnessError

# Where training scripts put the model inside a checkpoint, and what they wrap it in.
_CONTAINERS = ("state_dict", "model", "model_state_dict")
_WRAPPERS = ("module.", "_orig_mod.")
_OPTIMIZER = "optimizer_state_dict"

_SAFETENSORS_HEADER_LIMIT = 100_000_000


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The state dict in a safetensors or torch file, out of its container and without its wrapper.

    Raises :class:`HarnessError` for anything else: no such file, a damaged one, one with code or
    other values in it, an optimizer's state, a program.
    """
    if not path.is_file():
        raise HarnessError(f"there is no weights file {path}", "check the path")
    with path.open("rb") as file:
        start = file.read(16)
    if _is_safetensors(start, path):
        return _bare(_read_safetensors(path), path)
    if is_program(path):
        raise HarnessError(
            f"{path} is a TorchScript program", "give a file of tensors (safetensors, or a saved state_dict)"
        )
    # Before torch 1.6 a torch file was a plain pickle.
    if start.startswith((b"PK", b"\x80")):
        return _bare(_read_torch(path), path)
    raise HarnessError(
        f"{path} is neither a safetensors nor a torch file", "check that its download was complete"
    )


def is_program(path: Path) -> bool:
    """Whether a file is a TorchScript archive."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile as error:
        raise _damaged(path) from error


def some(keys: list[str], most: int = 3) -> str:
    """The first few names of a list that may be long, for a message."""
    return ", ".join(keys[:most]) + (f" and {len(keys) - most} more" if len(keys) > most else "")


def differences(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """How a file's tensors differ from a model's, in keys and shapes; empty where they do not."""
    problems = {
        "missing": [key for key in wanted if key not in found],
        "unexpected": [key for key in found if key not in wanted],
        "of another shape": [
            f"{key} {list(found[key].shape)} instead of {list(wanted[key].shape)}"
            for key in wanted
            if key in found and found[key].shape != wanted[key].shape
        ],
    }
    return "; ".join(f"{len(keys)} {what}: {some(keys)}" for what, keys in problems.items() if keys)


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
    except SafetensorError as error:
        raise _damaged(path) from error


def _read_torch(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise HarnessError(
            f"{path} holds more than tensors, and reading it could run code that it carries",
            "save the tensors alone with torch.save(model.state_dict(), FILE), or as safetensors",
        ) from error
    # What torch raises depends on the bytes that it finds.
    except (RuntimeError, EOFError, OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path) from error


def _bare(content: object, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping) and _OPTIMIZER in content and not set(_CONTAINERS) & set(content):
        raise HarnessError(
            f"{path} holds the state of an optimizer, not a model",
            "give the file of the model that was saved beside it",
        )
    for container in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
    if not isinstance(content, Mapping) or not content:
        raise HarnessError(f"{path} holds no state dict", "save the tensors with model.state_dict()")
    strange = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if strange:
        raise HarnessError(
            f"{path} holds {some(strange)}, which {'is' if len(strange) == 1 else 'are'} not tensors",
            "save the tensors alone with torch.save(model.state_dict(), FILE)",
        )
    tensors = dict(content)
    while wrapper := next((w for w in _WRAPPERS if all(k.startswith(w) for k in tensors)), ""):
        tensors = {key.removeprefix(wrapper): value for key, value in tensors.items()}
    return tensors


def _damaged(path: Path) -> HarnessError:
    return HarnessError(f"{path} is damaged or cut short", "download or copy it again")
