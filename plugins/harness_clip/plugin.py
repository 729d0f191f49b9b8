"""The towers and captioners that this plugin offers. Imports nothing heavy: a spec only names its factory."""

from __future__ import annotations

from collections.abc import Iterable

from harness import BackboneSpec, CaptionerSpec, CheckpointFormatSpec, Options, hookimpl
from harness_clip import options

HARNESS_API = (1, 1)

_CLIP = "https://arxiv.org/abs/2103.00020"
_COCA = "https://arxiv.org/abs/2205.01917"
_EVA_CLIP = "https://arxiv.org/abs/2303.15389"
_SIGLIP = "https://arxiv.org/abs/2303.15343"

# Name, options, what it is, paper, licence of the best-known weights.
_PRESETS: tuple[tuple[str, type[Options], str, str, str], ...] = (
    ("ViT-B-32", options.ViTB32, "CLIP ViT-B/32 with GELU (LAION and DataComp weights)", _CLIP, "MIT"),
    ("ViT-B-16", options.ViTB16, "CLIP ViT-B/16 with GELU (LAION and DataComp weights)", _CLIP, "MIT"),
    ("ViT-L-14", options.ViTL14, "CLIP ViT-L/14 with GELU (LAION and DataComp weights)", _CLIP, "MIT"),
    ("ViT-B-32-quickgelu", options.ViTB32QuickGELU, "CLIP ViT-B/32 as OpenAI trained it", _CLIP, "MIT"),
    ("ViT-B-16-quickgelu", options.ViTB16QuickGELU, "CLIP ViT-B/16 as OpenAI trained it", _CLIP, "MIT"),
    ("ViT-L-14-quickgelu", options.ViTL14QuickGELU, "CLIP ViT-L/14 as OpenAI trained it", _CLIP, "MIT"),
    ("EVA01-g-14", options.EVA01g14, "EVA-CLIP g/14, a visual tower of 1.0e9 parameters", _EVA_CLIP, "MIT"),
    (
        "ViT-B-16-SigLIP",
        options.ViTB16SigLIP,
        "SigLIP ViT-B/16; attention pooling, no class token",
        _SIGLIP,
        "Apache-2.0",
    ),
)

#: Towers that are made and run in a second.
_SHALLOW = {"vision_layers": 1, "text_layers": 1}
_NARROW = {"text_width": 32, "text_heads": 2, "text_layers": 1}


@hookimpl
def harness_backbones() -> Iterable[BackboneSpec]:
    """Named towers, every other model of open_clip and timm by its name, and the tiny ones."""
    for name, schema, summary, paper, licence in _PRESETS:
        yield BackboneSpec(
            name=name,
            summary=summary,
            factory="harness_clip.backbones:build",
            options=schema,
            small=_SHALLOW,
            paper=paper,
            licence=licence,
        )
    yield BackboneSpec(
        name="open_clip",
        summary="any dual tower of open_clip, such as open_clip/ViT-H-14",
        factory="harness_clip.backbones:build",
        options=options.OpenClipOptions,
        small={"model": "ViT-B-32", **_SHALLOW},
        variant_option="model",
        paper="https://arxiv.org/abs/2212.07143",
    )
    yield BackboneSpec(
        name="timm",
        summary="a ViT or EVA of timm beside a CLIP text tower, such as timm/vit_small_patch16_224",
        factory="harness_clip.backbones:build_timm",
        options=options.TimmOptions,
        small={"model": "vit_tiny_patch16_224", "vision_layers": 1, "dim": 32, **_NARROW},
        variant_option="model",
    )
    yield BackboneSpec(
        name="tiny",
        summary="a CLIP of a few million parameters, from random weights",
        factory="harness_clip.backbones:build_tiny",
        options=options.TinyOptions,
        paper=_CLIP,
    )
    yield BackboneSpec(
        name="tiny_clip",
        summary="tiny, pre-trained on generated pictures and their captions",
        factory="harness_clip.backbones:build_tiny_clip",
        options=options.TinyOptions,
        pretraining="harness_clip:recipes/tiny_clip.yaml",
        paper=_CLIP,
    )


@hookimpl
def harness_checkpoint_formats() -> Iterable[CheckpointFormatSpec]:
    """Files of a CLIP alone."""
    for name, aliases, summary in (
        ("open_clip", (), "a CLIP alone, by the names of open_clip"),
        ("huggingface", ("hf",), "a CLIP alone, by the names of transformers' CLIPModel"),
        ("openai", (), "a CLIP alone, as OpenAI published it, partly in half precision"),
    ):
        yield CheckpointFormatSpec(
            name=name, aliases=aliases, summary=summary, factory=f"harness_clip.formats:{name}"
        )


@hookimpl
def harness_captioners() -> Iterable[CaptionerSpec]:
    """CoCa, and a tiny one that needs no weights."""
    yield CaptionerSpec(
        name="coca",
        summary="CoCa of open_clip, fine-tuned on COCO captions; the most likely word at each step",
        factory="harness_clip.coca:build",
        options=options.CocaOptions,
        small=None,
        paper=_COCA,
        licence="MIT",
    )
    yield CaptionerSpec(
        name="tiny_coca",
        summary="a CoCa of random weights, to try the command with; its captions mean nothing",
        factory="harness_clip.coca:build_tiny",
        options=options.TinyCocaOptions,
        paper=_COCA,
    )
