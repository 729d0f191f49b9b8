"""A CLIP alone under the names of OpenAI, open_clip and Hugging Face: `harness export --to`.

The way back needs no format: a file of a CLIP alone is a backbone's, and :mod:`harness_clip.weights`
reads all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

import torch
from torch import Tensor

from harness import HarnessError, Options
from harness.models import Backbone, CheckpointFormat, TemporalModule, is_huggingface, to_huggingface

#: Parts of the names that OpenAI's ``convert_weights`` puts into half precision.
_HALF = ("conv1.weight", ".attn.", ".mlp.", "text_projection", "visual.proj")


class ClipFormat(CheckpointFormat):
    """open_clip's own names, which are OpenAI's too for a CLIP of their kind."""

    name = "open_clip"

    def claims(self, tensors: Mapping[str, Tensor]) -> bool:
        """Never: what holds a CLIP alone is no whole model, and fills a backbone."""
        return False

    def load(
        self, backbone: Backbone, temporal: TemporalModule, tensors: Mapping[str, Tensor], source: str
    ) -> NoReturn:
        raise HarnessError(f"{source} holds a CLIP alone", "start from it with --weights FILE")

    def export(self, backbone: Backbone, temporal: TemporalModule) -> dict[str, Tensor]:
        own = temporal.state_dict()
        if own:
            raise HarnessError(
                f"the format {self.name} has a place for a CLIP alone, and none for temporal.{next(iter(own))}",
                "give a model whose temporal module has no weights, such as mean_pool",
            )
        return self.renamed(backbone.weights(), backbone.name)

    def renamed(self, tensors: dict[str, Tensor], backbone: str) -> dict[str, Tensor]:
        return tensors


class HuggingFace(ClipFormat):
    """As ``transformers.CLIPModel`` names them."""

    name = "huggingface"

    def renamed(self, tensors: dict[str, Tensor], backbone: str) -> dict[str, Tensor]:
        named = to_huggingface(tensors)
        strange = [key for key in named if key in tensors and key != "logit_scale"]
        if strange or not is_huggingface(named):
            _refuse(self.name, backbone, next(iter(strange), "its towers"))
        return named


class OpenAI(ClipFormat):
    """As OpenAI published them: linear maps and projections in half precision, the rest in single."""

    name = "openai"

    def renamed(self, tensors: dict[str, Tensor], backbone: str) -> dict[str, Tensor]:
        strange = [key for key in to_huggingface(tensors) if key in tensors and key != "logit_scale"]
        if strange:
            _refuse(self.name, backbone, strange[0])
        return {
            key: value.to(torch.float16 if any(part in key for part in _HALF) else torch.float32)
            for key, value in tensors.items()
        }


def _refuse(name: str, backbone: str, part: str) -> NoReturn:
    raise HarnessError(
        f"the format {name} has no place for {part} of {backbone}",
        "choose a ViT of CLIP, such as ViT-B-32-quickgelu, or --to open_clip",
    )


def open_clip(options: Options) -> ClipFormat:
    return ClipFormat()


def huggingface(options: Options) -> HuggingFace:
    return HuggingFace()


def openai(options: Options) -> OpenAI:
    return OpenAI()
