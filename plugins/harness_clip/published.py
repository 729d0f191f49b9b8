"""What open_clip knows about published weights: their tags, pixels, activation and address."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from harness import HarnessError, lazy
from harness.models import Preprocess

_FIT = {"shortest": "crop", "squash": "squash"}
_QUICK = "-quickgelu"


def check_name(model: str) -> None:
    """Refuse a name that open_clip does not know, with the nearest ones that it does."""
    known = lazy.open_clip().list_models()
    if not model:
        raise HarnessError("open_clip needs the name of a model", "--backbone open_clip/ViT-B-32")
    if model not in known:
        raise HarnessError(f"open_clip has no model {model!r}", nearest(model, known))


def nearest(name: str, known: list[str]) -> str:
    """A hint with the few of ``known`` that look most like ``name``."""
    folded = {k.lower(): k for k in known}
    close = [folded[k] for k in get_close_matches(name.lower(), folded, n=4, cutoff=0.5)]
    return "did you mean " + " or ".join(close) + "?" if close else f"it has {len(known)} others"


def tag_config(model: str, tag: str) -> Mapping[str, Any]:
    """open_clip's entry for ``tag``: where the weights are and what they were trained with.

    Raises :class:`HarnessError` for a tag that the model does not have, and for one whose weights
    use the other GELU than the model: such a pair runs without complaint and is a little worse
    everywhere, so it is never what is wanted.
    """
    open_clip = lazy.open_clip()
    check_activation(model, tag)
    config = open_clip.get_pretrained_cfg(model, tag)
    if not config:
        tags = open_clip.list_pretrained_tags_by_model(model)
        raise HarnessError(
            f"open_clip has no weights {tag!r} for {model}",
            f"it has {', '.join(tags)}" if tags else "it has none; give a file with --weights FILE",
        )
    return config


def check_activation(model: str, tag: str) -> None:
    """Refuse published weights on a model with the other GELU, naming the model to use."""
    open_clip = lazy.open_clip()
    base = model.removesuffix(_QUICK)
    config = open_clip.get_pretrained_cfg(base, tag)
    if not config:
        return
    wanted = bool(config.get("quick_gelu", False))
    if wanted == uses_quick_gelu(model):
        return
    right = base + _QUICK if wanted else base
    raise HarnessError(
        f"the weights {tag!r} were trained with {'QuickGELU' if wanted else 'GELU'}, "
        f"and {model} computes {'GELU' if wanted else 'QuickGELU'}",
        f"use {right}" if right in open_clip.list_models() else "choose other weights",
    )


def uses_quick_gelu(model: str) -> bool:
    """Whether open_clip builds ``model`` with QuickGELU."""
    return bool(lazy.open_clip().get_model_config(model).get("quick_gelu", False))


def fetch(model: str, tag: str) -> str:
    """The path of published weights, downloaded by open_clip where they are not in its cache."""
    config = tag_config(model, tag)
    try:
        path = lazy.open_clip().download_pretrained(config)
    except (OSError, RuntimeError, ValueError) as error:
        raise HarnessError(
            f"the weights {tag!r} of {model} could not be downloaded",
            f"fetch {_address(config)} where there is a network and pass the file with --weights FILE",
        ) from error
    if not path:
        raise HarnessError(
            f"open_clip says no address for the weights {tag!r} of {model}",
            "pass the file with --weights FILE",
        )
    return path


def preprocess(model: str, tag: str, size: int) -> Preprocess:
    """The pixels that ``tag`` was trained on, for a tower that takes ``size`` pixels a side.

    Without a tag, what all published weights of the model agree on; where they differ or there
    are none, OpenAI's mean and deviation.
    """
    open_clip = lazy.open_clip()
    tags = [tag] if tag else open_clip.list_pretrained_tags_by_model(model)
    found = [_pixels(open_clip.get_pretrained_cfg(model, t), model) for t in tags]
    settings = found[0] if found and all(f == found[0] for f in found) else _pixels({}, model)
    return Preprocess(size=size, **settings)


def _pixels(config: Mapping[str, Any], model: str) -> dict[str, Any]:
    open_clip = lazy.open_clip()
    return pixels(
        model,
        mean=config.get("mean", open_clip.OPENAI_DATASET_MEAN),
        std=config.get("std", open_clip.OPENAI_DATASET_STD),
        interpolation=config.get("interpolation", "bicubic"),
        fit=_FIT.get(config.get("resize_mode", "shortest"), ""),
    )


def pixels(model: str, *, mean: Any, std: Any, interpolation: str, fit: str) -> dict[str, Any]:
    """The fields of a :class:`Preprocess` other than its size; refuses what the loader cannot do."""
    if interpolation not in ("bicubic", "bilinear") or not fit:
        raise HarnessError(
            f"{model} was trained on frames resized in a way that the loader does not offer",
            "choose another backbone with --backbone; `harness list backbones` shows them",
        )
    return {"mean": tuple(mean), "std": tuple(std), "interpolation": interpolation, "fit": fit}


def _address(config: Mapping[str, Any]) -> str:
    repository, _, file = config.get("hf_hub", "").rpartition("/")
    if repository:
        return f"{file or 'open_clip_model.safetensors'} from https://huggingface.co/{repository}"
    return config.get("url", "")
