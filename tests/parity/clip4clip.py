"""CLIP4Clip's golden folder: what kind each of its files is, and models made from its cases.

Files are told apart by what is in them, never by name, so that others of the same format count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from golden import area, read_json
from safetensors.torch import load_file
from torch import Tensor

from harness import lazy
from harness.models import Backbone, BuildContext, Encoding, Preprocess, TemporalModule, TextBatch, VideoBatch
from harness.plugins import load_factory, registry
from harness_clip.dual_tower import DualTower
from harness_clip.tokenizers import clip_bpe
from harness_clip4clip import official

FOLDER = area("clip4clip")


def _cases_have(field: str) -> Callable[[dict], bool]:
    def found(content: dict) -> bool:
        cases = content.get("cases")
        cases = list(cases.values()) if isinstance(cases, dict) else cases
        return bool(cases) and any(field in case for case in cases)

    return found


def _entries_have(*fields: str) -> Callable[[dict], bool]:
    return lambda content: any(isinstance(v, dict) and set(fields) <= set(v) for v in content.values())


#: Kind of file to what gives it away.
KINDS: dict[str, Callable[[dict], bool]] = {
    "model": lambda content: "sim_header" in content,
    "init": lambda content: "clip_config" in content,
    "distributed": lambda content: "world_size" in content,
    "bertadam": lambda content: "hparams" in content,
    "tokens": lambda content: "vocab_size" in content,
    "sampling": _cases_have("frames_read"),
    "slicing": _cases_have("slice_framepos"),
    "transform": _cases_have("height"),
    "loss": _entries_have("loss", "t2v", "v2t"),
    "metrics": lambda content: _entries_have("t2v", "v2t")(content) and not _entries_have("loss")(content),
    "keys": _entries_have("full"),
    "datasets": _entries_have("files"),
}


@cache
def listing() -> dict[str, list[Path]]:
    """Every JSON file of the folder and of the folders in it, by kind."""
    found: dict[str, list[Path]] = {}
    for path in sorted(FOLDER.rglob("*.json")):
        content = read_json(path)
        kinds = [kind for kind, is_one in KINDS.items() if isinstance(content, dict) and is_one(content)]
        found.setdefault(kinds[0] if len(kinds) == 1 else "unknown", []).append(path)
    return found


def files(kind: str) -> list[Any]:
    """A parameter per file of a kind; a single failing one where there is none."""
    found = [
        pytest.param(path, id=f"clip4clip-{kind}-{path.relative_to(FOLDER).with_suffix('')}")
        for path in listing().get(kind, [])
    ]
    return found or [pytest.param(None, id=f"clip4clip-{kind}-none-found")]


@dataclass(frozen=True)
class Case:
    """One recorded model: its sizes and figures, its inputs and outputs, and its state dict."""

    path: Path

    @cached_property
    def facts(self) -> dict[str, Any]:
        return read_json(self.path)

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        return load_file(self.path.with_suffix(".io.safetensors"))

    @cached_property
    def state(self) -> dict[str, Tensor]:
        """As the README says: stored in half precision without loss."""
        return {k: v.float() for k, v in load_file(self.path.with_suffix(".state.safetensors")).items()}

    def model(self, dropout: float = 0.0) -> tuple[Backbone, TemporalModule]:
        """The recorded model, filled through the importer."""
        shape = self.facts["shape"]
        backbone = clip(shape)
        temporal = head(
            backbone,
            self.facts["sim_header"],
            self.facts["linear_patch"],
            frames=shape["max_frames"],
            layers=shape["cross_layers"],
            heads=self.facts["cross_heads"],
            dropout=dropout,
        )
        official.load(backbone, temporal, self.state, self.path.name)
        return backbone.eval(), temporal.eval()

    def batch(self, prefix: str = "") -> tuple[TextBatch, VideoBatch]:
        """The texts and clips under a prefix of the recorded tensors."""
        t = self.tensors
        ids = tuple(str(row) for row in range(len(t[f"{prefix}input_ids"])))
        tokens = Encoding(t[f"{prefix}input_ids"][:, 0], t[f"{prefix}attention_mask"][:, 0].bool())
        frames = t[f"{prefix}video"][:, 0, :, 0].float()
        mask = t[f"{prefix}video_mask"][:, 0].bool()
        texts = TextBatch(ids, ids, ids, {"recorded": tokens})
        return texts, VideoBatch(ids, frames, mask, torch.zeros(mask.shape))


def clip(shape: dict[str, Any], heads_of: int = 64) -> Backbone:
    """A CLIP of the recorded sizes from random weights: QuickGELU, and width / 64 heads."""
    clip = lazy.open_clip().CLIP(
        shape["text_width"],
        {
            "image_size": shape["image"],
            "patch_size": shape["patch"],
            "width": shape["vision_width"],
            "head_width": heads_of,
            "layers": shape["vision_layers"],
        },
        {
            "context_length": shape["context"],
            "vocab_size": shape["vocab"],
            "width": shape["text_width"],
            "heads": shape["text_width"] // heads_of,
            "layers": shape["text_layers"],
        },
        quick_gelu=True,
    )
    tokenizer = clip_bpe(shape["context"])
    return DualTower(
        clip,
        name="recorded",
        pretraining="none",
        dim=shape["text_width"],
        preprocess=Preprocess(shape["image"], (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        tokenizer=type(tokenizer)("recorded", tokenizer.context, tokenizer.encode),
    )


def head(
    backbone: Backbone, name: str, linear_patch: str, frames: int, layers: int, heads: Any, dropout: float
) -> TemporalModule:
    """A head by the reference's name for it, with those of the options that it has."""
    spec, plugin = registry().find("temporal modules", name)
    given = {"linear_patch": linear_patch, "layers": layers, "heads": heads or 0, "dropout": dropout}
    options = spec.options(**{k: v for k, v in given.items() if k in spec.options.__struct_fields__})
    context = BuildContext(backbone, frames, backbone.tokenizer.context, lambda other: backbone)
    return load_factory(spec.factory, plugin)(options, context)
