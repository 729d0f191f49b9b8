"""Weights from a file into a model: strictly, and without running code that came in the file.

Files are read by :func:`harness.models.read_tensors`. A TorchScript archive is a program; OpenAI
published CLIP that way, so exactly OpenAI's files, known by their SHA-256, are opened and no others.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from harness import HarnessError, lazy
from harness.models import differences, from_huggingface, is_huggingface, is_torchscript, read_tensors
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

# What models keep a CLIP under.
_WRAPPERS = ("backbone.", "clip.", "model.")

# The parts that open_clip keeps under ``text.`` in a CustomTextCLIP and at the top in a CLIP.
_TEXT_PARTS = (
    "positional_embedding",
    "token_embedding.",
    "transformer.",
    "ln_final.",
    "text_projection",
)


@dataclass(frozen=True)
class WeightsFile:
    """The tensors of a file; ``model`` is what they are known to belong to ("" where unknown)."""

    tensors: dict[str, Tensor]
    model: str = ""


def load(module: nn.Module, path: str | Path, name: str) -> None:
    """Fill ``module``, a model of open_clip called ``name``, with the weights in ``path``.

    Accepts safetensors and torch files, bare or in a checkpoint, with the text tower's keys in
    either of open_clip's two places, or all keys as Hugging Face has them. Raises :class:`HarnessError` unless every tensor of the model
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
    if problems := differences(tensors, own):
        raise HarnessError(
            f"{path} does not fit {name}: {problems}",
            "name the backbone that these weights were trained with",
        )
    module.load_state_dict(tensors, strict=True)


def read(path: Path) -> WeightsFile:
    """The tensors in ``path``, without what CLIPs are wrapped in."""
    if path.is_file() and is_torchscript(path):
        return _read_openai(path)
    tensors = read_tensors(path)
    while wrapper := next((w for w in _WRAPPERS if all(k.startswith(w) for k in tensors)), ""):
        tensors = {key.removeprefix(wrapper): value for key, value in tensors.items()}
    tensors = {key: value for key, value in tensors.items() if key not in _OPENAI_SCALARS}
    return WeightsFile(from_huggingface(tensors) if is_huggingface(tensors) else tensors)


def _read_openai(path: Path) -> WeightsFile:
    with path.open("rb") as file:
        model = OPENAI_ARCHIVES.get(hashlib.file_digest(file, "sha256").hexdigest(), "")
    if not model:
        raise HarnessError(
            f"{path} is a TorchScript program, and not one of the CLIP ViTs that OpenAI published",
            "give a file of tensors instead (safetensors, or torch.save of a state_dict)",
        )
    state = torch.jit.load(path, map_location="cpu").state_dict()
    tensors = {k: v.float() for k, v in state.items() if k not in _OPENAI_SCALARS}
    return WeightsFile(tensors, model)


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
