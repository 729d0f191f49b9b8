"""Builds open_clip's modules with random weights, without its factory.

``open_clip.create_model`` may download while it builds and warns where it should refuse; here
building and loading are two steps, and only :mod:`harness_clip.weights` loads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from harness import HarnessError, lazy
from harness_clip.published import check_name, nearest

_CHOOSE = "choose another backbone with --backbone; `harness list backbones` shows them"

# Stands in for a visual tower that is built apart and put in its place.
_PLACEHOLDER = {"layers": 1, "width": 64, "head_width": 64, "patch_size": 16, "image_size": 16}


def configuration(model: str, vision_layers: int = 0, text_layers: int = 0) -> dict[str, Any]:
    """open_clip's configuration of ``model``, cut to the given depths (0: as published).

    Raises :class:`HarnessError` for an unknown name and for a family that is not supported.
    """
    check_name(model)
    config = lazy.open_clip().get_model_config(model)
    if "multimodal_cfg" in config:
        raise unsupported(model, "it is a CoCa, with a text decoder")
    if "hf_model_name" in config["text_cfg"]:
        raise unsupported(model, "its text tower is a Hugging Face transformer")
    if text_layers:
        config["text_cfg"]["layers"] = text_layers
    if vision_layers:
        if not isinstance(config["vision_cfg"].get("layers", 0), int):
            raise unsupported(model, "vision_layers cannot cut a ResNet")
        config["vision_cfg"]["layers"] = vision_layers
    return config


def build_model(config: dict[str, Any]) -> nn.Module:
    """An ``open_clip.CLIP`` or ``CustomTextCLIP`` from :func:`configuration`'s result."""
    open_clip = lazy.open_clip()
    config = dict(config)
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    vision = dict(config["vision_cfg"])
    layers = vision.get("layers", 0)
    if not (vision.get("timm_model_name") and layers):
        return kind(**config)
    model = kind(**{**config, "vision_cfg": _PLACEHOLDER})
    model.visual = _shallow_timm(vision, config["embed_dim"], layers)
    return model


def timm_configuration(
    model: str, *, dim: int, layers: int, text: dict[str, int], context: int
) -> dict[str, Any]:
    """A configuration with timm's ``model`` beside a CLIP text tower of the given sizes."""
    timm = lazy.timm()
    if not model:
        raise HarnessError("timm needs the name of a model", "--backbone timm/vit_small_patch16_224")
    if not timm.is_model(model):
        raise HarnessError(f"timm has no model {model!r}", nearest(model, timm.list_models()))
    vision: dict[str, Any] = {
        "timm_model_name": model,
        "timm_pool": "",
        "timm_proj": "linear",
        "image_size": timm.get_pretrained_cfg(model).input_size[-1],
    }
    if layers:
        vision["layers"] = layers
    return {
        "embed_dim": dim,
        "vision_cfg": vision,
        "text_cfg": {**text, "context_length": context, "vocab_size": 49408},
        "custom_text": True,
    }


def _shallow_timm(vision: dict[str, Any], dim: int, layers: int) -> nn.Module:
    """open_clip's ``TimmModel`` with a trunk of ``layers`` layers.

    open_clip cannot pass a depth on. The full tower is therefore built without memory, for its
    head and its poolings, and its trunk is exchanged.
    """
    open_clip, timm = lazy.open_clip(), lazy.timm()
    name, pool, projection = vision["timm_model_name"], vision["timm_pool"], vision["timm_proj"]
    with torch.device("meta"):
        visual = open_clip.timm_model.TimmModel(
            name, dim, image_size=vision["image_size"], pool=pool, proj=projection
        )
    if projection in ("linear", "mlp"):
        trunk = timm.create_model(name, depth=layers)
        trunk.reset_classifier(0, **({"global_pool": pool} if pool else {}))
    else:
        classes = 0 if projection == "none" else dim
        trunk = timm.create_model(name, depth=layers, num_classes=classes, global_pool=pool)
    visual.trunk = trunk
    visual.head = visual.head.to_empty(device="cpu")
    for module in visual.head.modules():
        if isinstance(module, nn.Linear):
            module.reset_parameters()
    return visual


def unsupported(model: str, reason: str, hint: str = _CHOOSE) -> HarnessError:
    """The error for a model of open_clip that cannot be used here."""
    return HarnessError(f"{model} is not supported: {reason}", hint)
