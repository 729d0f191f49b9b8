"""Weights from a file into a model: strictly, and without running code that came in the file.

A torch file is a pickle and may call anything, so it is read with ``weights_only``. A TorchScript
archive is a program as well; OpenAI published CLIP that way, so exactly OpenAI's files, known by
their SHA-256, are opened and no others.
"""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from harness import HarnessError, lazy
from harness_clip.published import uses_quick_gelu

#: SHA-256 of the archives that https://github.com/openai/CLIP (clip/clip.py) downloads, which are
#: part of their addresses, to the open_clip model that computes the same.
OPENAI_ARCHIVES: dict[str, str] = {
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af": "ViT-B-32-quickgelu",
    "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f": "ViT-B-16-quickgelu",
    "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836": "ViT-L-14-quickgelu",
    "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02": "ViT-L-14-336-quickgelu",
}

# Scalars that OpenAI stored beside the weights.
_OPENAI_SCALARS = ("input_resolution", "context_length", "vocab_size")

# Where training scripts put the model inside a checkpoint, and what they wrap it in.
_CONTAINERS = ("state_dict", "model", "model_state_dict")
_WRAPPERS = ("module.", "_orig_mod.", "backbone.", "clip.", "model.")

# The parts that open_clip keeps under ``text.`` in a CustomTextCLIP and at the top in a CLIP.
_TEXT_PARTS = (
    "positional_embedding",
    "token_embedding.",
    "transformer.",
    "ln_final.",
    "text_projection",
)

_SAFETENSORS_HEADER_LIMIT = 100_000_000


@dataclass(frozen=True)
class WeightsFile:
    """The tensors of a file; ``model`` is what they are known to belong to ("" where unknown)."""

    tensors: dict[str, Tensor]
    model: str = ""


def load(module: nn.Module, path: str | Path, name: str) -> None:
    """Fill ``module``, a model of open_clip called ``name``, with the weights in ``path``.

    Accepts safetensors and torch files, bare or in a checkpoint, with the text tower's keys in
    either of open_clip's two places. Raises :class:`HarnessError` unless every tensor of the model
    is in the file with the same shape, and nothing else is.
    """
    path = Path(path).expanduser()
    found = read(path)
    if found.model:
        _check_openai(found.model, path, name)
    tensors = _place_text_tower(found.tensors, module)
    own = module.state_dict()
    for key in ("logit_scale", "logit_bias"):
        # Older files keep the scalar in a vector of one.
        if key in tensors and key in own and tensors[key].numel() == own[key].numel() == 1:
            tensors[key] = tensors[key].reshape(own[key].shape)
    _check_fit(tensors, own, path, name)
    module.load_state_dict(tensors, strict=True)


def read(path: Path) -> WeightsFile:
    """The tensors in ``path``, told apart by content rather than by suffix."""
    if not path.is_file():
        raise HarnessError(f"there is no weights file {path}", "check the path after --weights")
    with path.open("rb") as file:
        start = file.read(16)
    if _is_safetensors(start, path):
        return WeightsFile(_bare(_read_safetensors(path), path))
    if start.startswith(b"PK"):
        if _is_torchscript(path):
            return _read_openai(path)
        return WeightsFile(_bare(_read_torch(path), path))
    if start.startswith(b"\x80"):  # torch before 1.6 wrote a plain pickle
        return WeightsFile(_bare(_read_torch(path), path))
    raise HarnessError(
        f"{path} is neither a safetensors nor a torch file", "check that its download was complete"
    )


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


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile as error:
        raise _damaged(path) from error


def _read_torch(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise HarnessError(
            f"{path} holds more than tensors, and reading it could run code that it carries",
            "save the tensors alone with torch.save(model.state_dict(), FILE), or as safetensors",
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise _damaged(path) from error


def _read_openai(path: Path) -> WeightsFile:
    model = OPENAI_ARCHIVES.get(_sha256(path), "")
    if not model:
        raise HarnessError(
            f"{path} is a TorchScript program, and not one of the CLIP ViTs that OpenAI published",
            "give a file of tensors instead (safetensors, or torch.save of a state_dict)",
        )
    state = torch.jit.load(path, map_location="cpu").state_dict()
    tensors = {k: v.float() for k, v in state.items() if k not in _OPENAI_SCALARS}
    return WeightsFile(tensors, model)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bare(content: object, path: Path) -> dict[str, Tensor]:
    """Take the state dict out of its checkpoint, and the wrappers off its keys."""
    for container in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
    if not isinstance(content, Mapping) or not content:
        raise HarnessError(f"{path} holds no state dict", "save the tensors with model.state_dict()")
    strange = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if strange:
        raise HarnessError(
            f"{path} holds {_some(strange)}, which {'is' if len(strange) == 1 else 'are'} not tensors",
            "save the tensors alone with torch.save(model.state_dict(), FILE)",
        )
    tensors = dict(content)
    while wrapper := next((w for w in _WRAPPERS if all(k.startswith(w) for k in tensors)), ""):
        tensors = {key.removeprefix(wrapper): value for key, value in tensors.items()}
    return tensors


def _place_text_tower(tensors: dict[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Move the text tower's keys to where ``module`` has them."""
    if hasattr(module, "text"):
        return {f"text.{k}" if k.startswith(_TEXT_PARTS) else k: v for k, v in tensors.items()}
    return {
        k.removeprefix("text.") if k.startswith(tuple(f"text.{part}" for part in _TEXT_PARTS)) else k: v
        for k, v in tensors.items()
    }


def _check_openai(right: str, path: Path, name: str) -> None:
    """OpenAI's towers use QuickGELU; on a model with GELU they run and are quietly worse."""
    if name not in lazy.open_clip().list_models() or not uses_quick_gelu(name):
        raise HarnessError(f"{path} is OpenAI's {right}, and {name} has no QuickGELU", f"use {right}")


def _check_fit(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], path: Path, name: str) -> None:
    missing = [k for k in own if k not in tensors]
    unexpected = [k for k in tensors if k not in own]
    misshapen = [
        f"{k} {list(tensors[k].shape)} instead of {list(own[k].shape)}"
        for k in own
        if k in tensors and tensors[k].shape != own[k].shape
    ]
    problems = [
        f"{len(keys)} {what}: {_some(keys)}"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen))
        if keys
    ]
    if problems:
        raise HarnessError(
            f"{path} does not fit {name}: {'; '.join(problems)}",
            "name the backbone that these weights were trained with",
        )


def _some(keys: list[str], most: int = 3) -> str:
    return ", ".join(keys[:most]) + (f" and {len(keys) - most} more" if len(keys) > most else "")


def _damaged(path: Path) -> HarnessError:
    return HarnessError(f"{path} is damaged or cut short", "download or copy it again")
