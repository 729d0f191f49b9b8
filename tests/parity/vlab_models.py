"""VLAB's recorded modules and models, and ours made from them; told apart by what is in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from harness import lazy
from harness.models import (
    Backbone,
    BuildContext,
    Encoding,
    Preprocess,
    TextBatch,
    Tokenizer,
    VideoBatch,
    Vocabulary,
)
from harness_clip.dual_tower import DualTower
from harness_vlab.module import Vlab, build
from harness_vlab.options import VlabOptions
from tests.parity.golden import area

FOLDER = area("vlab")

#: What the tower's own texts and the multimodal encoder's are called in a recorded batch.
CLIP_WORDS, WORDS = "recorded", "recorded+marks"

#: Kind of tensor file to the keys of its specification, or of one of its parts, that give it away.
KINDS: dict[str, set[str]] = {
    "model": {"config", "beam", "max_len"},
    "adapter": {"hidden", "kernel", "num_frames"},
    "layer": {"blend", "hidden_size", "stack_order"},
}


@cache
def listing() -> dict[str, list[Path]]:
    """Every tensor file of the folder and of the folders in it, by kind."""
    found: dict[str, list[Path]] = {}
    for path in sorted(FOLDER.rglob("*.safetensors")):
        spec = specification(path)
        parts = [spec, *(part for part in spec.values() if isinstance(part, dict))]
        kinds = [kind for kind, keys in KINDS.items() if any(keys <= part.keys() for part in parts[:1])]
        if not kinds and all(isinstance(part, dict) for part in spec.values()):
            kinds = [k for k, keys in KINDS.items() if all(keys <= part.keys() for part in spec.values())]
        found.setdefault(kinds[0] if len(kinds) == 1 else "unknown", []).append(path)
    return found


def specification(path: Path) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        return json.loads((file.metadata() or {}).get("spec", "{}"))


def files(kind: str) -> list[Any]:
    """A parameter for each file of a kind."""
    found = [
        pytest.param(path, id=f"vlab-{kind}-{path.relative_to(FOLDER).with_suffix('')}")
        for path in listing().get(kind, [])
    ]
    return found or [pytest.param(None, id=f"vlab-{kind}-none-found")]


@dataclass(frozen=True)
class Recorded:
    """The tensors of a file by their part: ``state``, ``in``, ``out``."""

    path: Path

    @cached_property
    def spec(self) -> dict[str, Any]:
        return specification(self.path)

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        with safe_open(self.path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118

    def part(self, prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}

    def model(self, dtype: torch.dtype) -> tuple[Backbone, Vlab]:
        """Our model of the recorded sizes with the recorded weights."""
        backbone, module = model_of(self.spec["config"])
        state = self.part("state.")
        of_backbone, of_module = renamed(state)
        backbone.load_state_dict(of_backbone, strict=True)
        module.load_state_dict(of_module, strict=True)
        return backbone.to(dtype).eval(), module.to(dtype).eval()


def renamed(tensors: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """By our names: what belongs to the backbone, and what to the temporal module."""
    backbone, module = {}, {}
    for key, value in tensors.items():
        if key.startswith("visual.") or key == "logit_scale":
            backbone[f"clip.{key}"] = value
        elif key.startswith("text."):
            backbone[f"clip.{key.removeprefix('text.')}"] = value
        elif key.startswith("image_visual."):
            module[f"image.clip.visual.{key.removeprefix('image_visual.')}"] = value
        else:
            module[key] = value
    return backbone, module


def model_of(config: dict[str, Any]) -> tuple[DualTower, Vlab]:
    """Random weights in the recorded sizes."""
    backbone = clip(config)
    options = VlabOptions(
        hidden_size=config["hidden_size"],
        layers=config["num_layers"],
        heads=config["num_heads"],
        intermediate_size=config["intermediate_size"],
        positions=config["max_positions"],
        adapter_kernel=tuple(config["adapter_kernel"]),
        adapter_start=config["adapter_start_layer"],
        dropout=0.0,
        **{
            name: config[name]
            for name in (
                "adapter_position",
                "adapter_width",
                "adapter_activation",
                "adapter_prenorm",
                "blend",
                "stack_order",
                "parallel_reduce",
                "share_cross_attention",
                "max_frames",
            )
        },
    )
    context = BuildContext(backbone, config["max_frames"], config["context_length"], lambda other: backbone)
    module = build(options, context)
    module.writes = words(config)
    return backbone, module


def words(config: dict[str, Any]) -> Tokenizer:
    """A tokenizer that is never asked to encode, with the recorded ids of its marks."""
    known = Vocabulary(
        config["vocab_size"],
        config["cls_id"],
        config["sep_id"],
        str,
        mask=config["mask_id"],
        pad=config["pad_id"],
    )
    return Tokenizer(WORDS, config["max_positions"], lambda texts, length: None, known)


def clip(config: dict[str, Any]) -> DualTower:
    """A CLIP of the recorded sizes. Its tokenizer has two ids fewer than the multimodal vocabulary, which
    adds as many."""
    module = lazy.open_clip().CLIP(
        config["embed_dim"],
        {
            "image_size": config["image_size"],
            "patch_size": config["patch_size"],
            "width": config["vision_width"],
            "head_width": config["vision_width"] // config["vision_heads"],
            "layers": config["vision_layers"],
        },
        {
            "context_length": config["context_length"],
            "vocab_size": config["clip_vocab_size"],
            "width": config["text_width"],
            "heads": config["text_heads"],
            "layers": config["text_layers"],
        },
        quick_gelu=config["quick_gelu"],
    )
    own = Vocabulary(config["vocab_size"] - 2, config["cls_id"], config["sep_id"], str)
    return DualTower(
        module,
        name="recorded",
        pretraining="none",
        dim=config["embed_dim"],
        preprocess=Preprocess(config["image_size"], (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        tokenizer=Tokenizer(CLIP_WORDS, config["context_length"], lambda texts, length: None, own),
    )


def videos(pixels: Tensor) -> VideoBatch:
    """Recorded clips ``[B, T, 3, H, W]``, already normalised."""
    batch, frames = pixels.shape[:2]
    ids = tuple(map(str, range(batch)))
    return VideoBatch(ids, pixels, torch.ones(batch, frames, dtype=torch.bool), torch.zeros(batch, frames))


def encoding(ids: Tensor, pad: int) -> Encoding:
    return Encoding(ids, ids != pad)


def texts(clip_ids: Tensor, ids: Tensor, pad: int) -> TextBatch:
    """Recorded captions, as the tower reads them and as the multimodal encoder does."""
    names = tuple(map(str, range(len(ids))))
    known = {
        CLIP_WORDS: Encoding(clip_ids, torch.ones_like(clip_ids, dtype=torch.bool)),
        WORDS: encoding(ids, pad),
    }
    return TextBatch(names, names, names, known)
