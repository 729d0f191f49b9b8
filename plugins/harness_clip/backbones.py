"""The factories that the specs name: options in, :class:`harness.models.Backbone` out."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import nn

from harness import HarnessError, lazy
from harness.models import Backbone, Preprocess, Tokenizer
from harness_clip import published, weights
from harness_clip.architectures import build_model, configuration, timm_configuration
from harness_clip.dual_tower import DualTower
from harness_clip.options import OpenClipOptions, TimmOptions, TinyOptions
from harness_clip.tokenizers import clip_bpe, tokenizer_of

RANDOM = "none (random)"


def build(options: OpenClipOptions, load: bool = True) -> Backbone:
    """A model of open_clip; what can go wrong without building it is checked first."""
    config = configuration(options.model, options.vision_layers, options.text_layers)
    file = options.weights if load else ""
    if options.pretrained and not options.weights:
        published.tag_config(options.model, options.pretrained)
    tokenizer = tokenizer_of(options.model, config["text_cfg"])
    pretraining = _source(options.weights, options.pretrained)
    if options.pretrained and not options.weights and load:
        file = published.fetch(options.model, options.pretrained)
    clip = build_model(config)
    preprocess = published.preprocess(options.model, _known_tag(options), _image_size(clip, options.model))
    return _assemble(clip, options.model, file, pretraining, config["embed_dim"], preprocess, tokenizer)


def build_timm(options: TimmOptions, load: bool = True) -> Backbone:
    """A timm model as the visual tower of a CLIP."""
    _check_heads("text", options.text_width, options.text_heads)
    text = {"width": options.text_width, "heads": options.text_heads, "layers": options.text_layers}
    config = timm_configuration(
        options.model,
        dim=options.dim,
        layers=options.vision_layers,
        text=text,
        context=options.context,
    )
    name = f"timm/{options.model}"
    clip = build_model(config)
    published_as = lazy.timm().get_pretrained_cfg(options.model)
    settings = published.pixels(
        name,
        mean=published_as.mean,
        std=published_as.std,
        interpolation=published_as.interpolation,
        fit="squash" if published_as.crop_mode == "squash" else "crop",
    )
    preprocess = Preprocess(size=_image_size(clip, name), **settings)
    return _of_sizes(clip, name, options, load, preprocess)


#: How `tiny` differs from open_clip's initial weights.
POSITION_STD, LOGIT_SCALE = 0.3, 20.0


def build_tiny(options: TinyOptions, load: bool = True) -> Backbone:
    """The tiny CLIP from random weights, or from a file."""
    return _tiny(options, "tiny", load)


def build_tiny_clip(options: TinyOptions, load: bool = True) -> Backbone:
    """The tiny CLIP whose weights come from its own pre-training recipe."""
    return _tiny(options, "tiny_clip", load)


def _tiny(options: TinyOptions, name: str, load: bool) -> Backbone:
    _check_heads("visual", options.width, options.heads)
    _check_heads("text", options.text_width, options.text_heads)
    if options.image_size % options.patch:
        raise HarnessError(
            f"{name}: {options.image_size} pixels are not a whole number of patches of {options.patch}",
            "choose a patch that divides image_size",
        )
    open_clip = lazy.open_clip()
    clip = open_clip.CLIP(
        embed_dim=options.dim,
        vision_cfg={
            "image_size": options.image_size,
            "patch_size": options.patch,
            "width": options.width,
            "head_width": options.width // options.heads,
            "layers": options.layers,
        },
        text_cfg={
            "context_length": options.context,
            "width": options.text_width,
            "heads": options.text_heads,
            "layers": options.text_layers,
        },
    )
    with torch.no_grad():
        # Few steps have to do: a shape's place has to count beside its colour from the first one,
        # and so has the contrast between texts.
        clip.visual.positional_embedding.normal_(std=POSITION_STD)
        clip.logit_scale.fill_(math.log(LOGIT_SCALE))
    preprocess = Preprocess(
        size=options.image_size,
        mean=open_clip.OPENAI_DATASET_MEAN,
        std=open_clip.OPENAI_DATASET_STD,
    )
    return _of_sizes(clip, name, options, load, preprocess)


def _of_sizes(
    clip: nn.Module, name: str, options: TimmOptions | TinyOptions, load: bool, preprocess: Preprocess
) -> Backbone:
    """A CLIP whose sizes are options, with the weights of a file, if any."""
    file, pretraining = options.weights if load else "", _source(options.weights)
    return _assemble(clip, name, file, pretraining, options.dim, preprocess, clip_bpe(options.context))


def _assemble(
    clip: nn.Module,
    name: str,
    file: str,
    pretraining: str,
    dim: int,
    preprocess: Preprocess,
    tokenizer: Tokenizer,
) -> Backbone:
    if file:
        weights.load(clip, file, name)
    return DualTower(
        clip,
        name=name,
        pretraining=pretraining,
        dim=dim,
        preprocess=preprocess,
        tokenizer=tokenizer,
    )


def _source(file: str, tag: str = "") -> str:
    """Where the weights come from, as the leaderboard prints it."""
    return f"weights:{Path(file).name}" if file else tag or RANDOM


def _known_tag(options: OpenClipOptions) -> str:
    """The tag, where open_clip has it: beside a weights file it may be any word."""
    known = lazy.open_clip().is_pretrained_cfg(options.model, options.pretrained)
    return options.pretrained if known else ""


def _image_size(clip: nn.Module, name: str) -> int:
    height, width = _pair(clip.visual.image_size)
    if height != width:
        raise HarnessError(
            f"{name} takes frames of {height} x {width} pixels, and the harness makes square ones",
            "choose another backbone with --backbone; `harness list backbones` shows them",
        )
    return height


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _check_heads(tower: str, width: int, heads: int) -> None:
    if width % heads:
        raise HarnessError(
            f"the {tower} tower's width {width} cannot be shared among {heads} heads",
            "choose a number of heads that divides the width",
        )
