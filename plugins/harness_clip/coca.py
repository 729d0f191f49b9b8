"""CoCa as a captioner: open_clip's model, and a greedy decoding of our own.

open_clip's ``generate`` needs the package transformers; the most likely token at each step does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness import HarnessError, lazy
from harness.models import Captioner, Preprocess
from harness_clip import published, weights
from harness_clip.architectures import unsupported
from harness_clip.options import CocaOptions, TinyCocaOptions
from harness_clip.tokenizers import END, START, clip_text

#: Tokens of CLIP's byte-pair vocabulary.
VOCABULARY = 49408

#: How `tiny_coca` differs from open_clip's initial weights, with which every picture reads the same.
_TINY_STD = 1.0


class Coca(Captioner):
    """``coca`` is an ``open_clip.CoCa``; a caption has at most ``length`` tokens."""

    def __init__(self, coca: nn.Module, length: int, preprocess: Preprocess, pretraining: str) -> None:
        super().__init__()
        if length > coca.context_length:
            raise HarnessError(
                f"a caption of {length} tokens does not fit the decoder, which has {coca.context_length} positions",
                f"--set captioner.length={coca.context_length}",
            )
        self.coca, self.length = coca, length
        self.preprocess, self.pretraining = preprocess, pretraining

    def caption(self, frames: Tensor) -> list[str]:
        images = self.preprocess.normalise(frames, self.coca.logit_scale.dtype)
        return [clip_text(ids) for ids in greedy(self.coca, images, self.length).tolist()]


@torch.inference_mode()
def greedy(coca: nn.Module, images: Tensor, length: int) -> Tensor:
    """Token ids ``[B, <= length]`` for images ``[B, 3, H, W]``: at each step the most likely next one.

    The start token is left out; from a row's end token on the row has end tokens. Rows do not see
    each other. The decoder is run anew over all tokens of each step: captions are short.
    """
    seen = coca(images)
    ids = torch.full((len(images), 1), START, device=images.device)
    ended = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    for _ in range(length):
        out = coca(
            None,
            ids,
            image_latent=seen["image_features"],
            image_embs=seen["image_embs"],
            output_labels=False,
        )
        following = out["logits"][:, -1].argmax(dim=-1).masked_fill(ended, END)
        ids = torch.cat([ids, following[:, None]], dim=1)
        ended |= following == END
        if ended.all():
            break
    return ids[:, 1:]


def build(options: CocaOptions) -> Coca:
    """A CoCa of open_clip with published weights, or those of a file."""
    config = configuration(options.model)
    if not (options.weights or options.pretrained):
        raise HarnessError(
            f"{options.model} without weights says nothing of a picture",
            "name a tag with --set captioner.pretrained=TAG, or a file with --weights FILE",
        )
    file = options.weights or published.fetch(options.model, options.pretrained)
    coca = lazy.open_clip().CoCa(**config)
    weights.load(coca, file, options.model)
    known = lazy.open_clip().is_pretrained_cfg(options.model, options.pretrained)
    preprocess = published.preprocess(
        options.model, options.pretrained if known else "", config["vision_cfg"]["image_size"]
    )
    source = f"weights:{Path(options.weights).name}" if options.weights else options.pretrained
    return Coca(coca, options.length, preprocess, source)


def configuration(model: str) -> dict[str, Any]:
    """What ``open_clip.CoCa`` takes for ``model``; refuses what is no CoCa with CLIP's vocabulary."""
    published.check_name(model)
    config = dict(lazy.open_clip().get_model_config(model))
    if "multimodal_cfg" not in config:
        raise unsupported(model, "it is no CoCa", _CHOOSE)
    if "hf_model_name" in config["text_cfg"] or config["text_cfg"]["vocab_size"] != VOCABULARY:
        raise unsupported(model, "its texts are not in CLIP's vocabulary", _CHOOSE)
    config.pop("custom_text", None)
    return config


_CHOOSE = "choose another, such as --set captioner.model=coca_ViT-B-32"


def build_tiny(options: TinyCocaOptions) -> Coca:
    """A CoCa of a few million parameters from random weights, or from a file."""
    if options.width % options.heads or options.image_size % options.patch:
        raise HarnessError(
            f"tiny_coca: width {options.width} has to be a multiple of heads {options.heads}, "
            f"and image_size {options.image_size} of patch {options.patch}",
            "change one of them with --set captioner.NAME=VALUE",
        )
    open_clip = lazy.open_clip()
    text = {
        "context_length": options.context,
        "vocab_size": VOCABULARY,
        "width": options.width,
        "heads": options.heads,
        "layers": options.layers,
    }
    coca = open_clip.CoCa(
        embed_dim=options.width,
        vision_cfg={
            "image_size": options.image_size,
            "patch_size": options.patch,
            "width": options.width,
            "head_width": options.width // options.heads,
            "layers": options.layers,
            "attentional_pool": True,
            "attn_pooler_queries": 4,
            "attn_pooler_heads": options.heads,
            "output_tokens": True,
        },
        text_cfg={**text, "embed_cls": True, "output_tokens": True},
        multimodal_cfg=text,
    )
    with torch.no_grad():
        # open_clip leaves the decoder's projection as it finds it in memory.
        coca.text_decoder.text_projection.normal_(std=options.width**-0.5)
        for table in (coca.text.token_embedding.weight, coca.text.positional_embedding):
            table.normal_(std=_TINY_STD)
    if options.weights:
        weights.load(coca, options.weights, "tiny_coca")
    preprocess = Preprocess(
        size=options.image_size, mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD
    )
    source = f"weights:{Path(options.weights).name}" if options.weights else "none (random)"
    return Coca(coca, options.length, preprocess, source)
