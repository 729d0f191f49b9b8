"""CLIP-ViP's golden folder: its recorded models by kind, and ours made from them.

Files are told apart by what is in them, never by name, so that others of the same format count.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from harness import lazy
from harness.models import (
    Backbone,
    BuildContext,
    Encoding,
    Preprocess,
    TemporalModule,
    TextBatch,
    VideoBatch,
    from_huggingface,
)
from harness.plugins import load_factory, registry
from harness_clip.dual_tower import DualTower
from harness_clip.tokenizers import clip_bpe
from harness_clip_vip.official_format import OfficialFormat
from tests.parity.golden import area, read_json

FOLDER = area("clip_vip")
TOKENS = "recorded"

#: Kind of file to the keys that give it away.
KINDS: dict[str, set[str]] = {
    "model": {"runs", "add_cls_num"},
    "meanpool": {"rule", "frames"},
    "trajectory": {"optimiser", "steps"},
    "gradients": {"total_grad_norm"},
    "losses": {"mil_candidates"},
    "metrics": {"multi"},
    "sampling": {"n1_train"},
    "schedule": {"note"},
    "transform": {"train_equals_test"},
    "mapping": {"key_map"},
}


#: Kinds whose files are too large to be kept with the tests.
NOT_KEPT = ("trajectory", "meanpool", "mapping")


@cache
def listing() -> dict[str, list[Path]]:
    """Every JSON file of the folder and of the folders in it, by kind."""
    found: dict[str, list[Path]] = {}
    for path in sorted(FOLDER.rglob("*.json")):
        content = read_json(path)
        if all(isinstance(v, dict) and "sha256" in v for v in content.values()):
            continue  # what the folder is made of
        kinds = [kind for kind, keys in KINDS.items() if keys <= content.keys()]
        # What says nothing but how it was made is a schedule.
        kinds = [kind for kind in kinds if kind != "schedule" or len(kinds) == 1]
        found.setdefault(kinds[0] if len(kinds) == 1 else "unknown", []).append(path)
    return found


def none_found(kind: str, *values: Any) -> list[Any]:
    """The one parameter that stands for a kind without a file: a failure, except in the subset that is
    kept with the tests, which is too small for some of them."""
    kept = not os.environ.get("HARNESS_GOLDEN") and kind in NOT_KEPT
    marks = (
        [pytest.mark.skip(reason=f"the kept subset has no {kind}; HARNESS_GOLDEN names all")] if kept else []
    )
    return [pytest.param(*(values or (None,)), id=f"clip_vip-{kind}-none-found", marks=marks)]


def files(kind: str) -> list[Any]:
    """A parameter per file of a kind."""
    found = [
        pytest.param(path, id=f"clip_vip-{kind}-{path.relative_to(FOLDER).with_suffix('')}")
        for path in listing().get(kind, [])
    ]
    return found or none_found(kind)


@dataclass(frozen=True)
class Recorded:
    """The sizes of a recorded model, and its weights by the reference's names."""

    facts: dict[str, Any]
    weights: dict[str, Tensor]

    def model(self, dtype: torch.dtype = torch.float32) -> tuple[Backbone, TemporalModule]:
        """Our model with the recorded weights: of video proxies through the importer, else mean pooling."""
        backbone = clip(self.facts)
        if "add_cls_num" not in self.facts:
            bare = {key.removeprefix("clipmodel."): value for key, value in self.weights.items()}
            backbone.clip.load_state_dict(from_huggingface(bare), strict=True)
            return backbone.to(dtype).eval(), part("mean_pool", backbone, 1).to(dtype).eval()
        temporal = part(
            "video_proxies",
            backbone,
            self.facts["temporal_size"],
            proxies=self.facts["add_cls_num"] + 1,
            temporal_embedding=bool(self.facts.get("if_use_temporal_embed", 1)),
        )
        OfficialFormat().load(backbone, temporal, self.weights, "the recorded weights")
        return backbone.to(dtype).eval(), temporal.to(dtype).eval()


@dataclass(frozen=True)
class Case:
    """One recorded model with its inputs and outputs."""

    path: Path

    @cached_property
    def facts(self) -> dict[str, Any]:
        return read_json(self.path)

    @cached_property
    def io(self) -> dict[str, Tensor]:
        return load_file(self.path.with_suffix(".io.safetensors"))

    @cached_property
    def recorded(self) -> Recorded:
        return Recorded(self.facts, load_file(self.path.with_suffix(".weights.safetensors")))


def part(name: str, backbone: Backbone, frames: int, **options: Any) -> TemporalModule:
    """A temporal module by name."""
    spec, plugin = registry().find("temporal modules", name)
    context = BuildContext(backbone, frames, backbone.tokenizer.context, lambda other: backbone)
    return load_factory(spec.factory, plugin)(spec.options(**options), context)


def clip(facts: dict[str, Any]) -> DualTower:
    """A CLIP of the recorded sizes from random weights, with QuickGELU."""
    vision, text = facts["vision_config"], facts["text_config"]
    module = lazy.open_clip().CLIP(
        facts["projection_dim"],
        {
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "width": vision["hidden_size"],
            "head_width": vision["hidden_size"] // vision["num_attention_heads"],
            "layers": vision["num_hidden_layers"],
            "mlp_ratio": vision["intermediate_size"] / vision["hidden_size"],
        },
        {
            "context_length": text["max_position_embeddings"],
            "vocab_size": text["vocab_size"],
            "width": text["hidden_size"],
            "heads": text["num_attention_heads"],
            "layers": text["num_hidden_layers"],
            "mlp_ratio": text["intermediate_size"] / text["hidden_size"],
        },
        quick_gelu=True,
    )
    tokenizer = clip_bpe(text["max_position_embeddings"])
    return DualTower(
        module,
        name="recorded",
        pretraining="none",
        dim=facts["projection_dim"],
        preprocess=Preprocess(vision["image_size"], (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        tokenizer=type(tokenizer)(TOKENS, tokenizer.context, tokenizer.encode),
    )


def videos(pixels: Tensor) -> VideoBatch:
    """Clips of recorded pixels ``[B, T, 3, H, W]``, already normalised."""
    batch, frames = pixels.shape[:2]
    ids = tuple(map(str, range(batch)))
    return VideoBatch(ids, pixels, torch.ones(batch, frames, dtype=torch.bool), torch.zeros(batch, frames))


def texts(tokens: Tensor, mask: Tensor | None = None) -> TextBatch:
    """Recorded tokens ``[B, L]``; without a mask all of them count."""
    ids = tuple(map(str, range(len(tokens))))
    mask = torch.ones_like(tokens) if mask is None else mask
    return TextBatch(ids, ids, ids, {TOKENS: Encoding(tokens, mask.bool())})
