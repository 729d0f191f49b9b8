"""Official checkpoints: which of their keys is which of our parameters, read and written strictly.

The reference saves a bare state dict. Its ``clip.`` part has OpenAI's names, its heads have names of
their own (:data:`_HEADS`). Nothing is guessed: what a file holds is inferred from its keys and
shapes (:func:`describe`), and it is loaded whole or not at all (:func:`load`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from harness import HarnessError
from harness.models import Backbone, TemporalModule, differences
from harness_clip4clip.frame_module import FrameModule
from harness_clip4clip.mean_pool import MeanPool
from harness_clip4clip.seq_lstm import SeqLSTM
from harness_clip4clip.seq_transformer import SeqTransformer
from harness_clip4clip.sizes import Description, difference
from harness_clip4clip.tight_transformer import TightTransformer

_PATCHES = {"patches.weight": "clip.visual.conv2.weight"}

#: The reference's name of each head, and its names for what ours are called (keys or their starts).
_HEADS: dict[type[FrameModule], tuple[str, dict[str, str]]] = {
    MeanPool: ("meanP", _PATCHES),
    SeqLSTM: (
        "seqLSTM",
        {**_PATCHES, "frame_positions": "frame_position_embeddings.weight", "lstm.": "lstm_visual."},
    ),
    SeqTransformer: (
        "seqTransf",
        {
            **_PATCHES,
            "frame_positions": "frame_position_embeddings.weight",
            "layers.": "transformerClip.resblocks.",
        },
    ),
    TightTransformer: (
        "tightTransf",
        {
            **_PATCHES,
            "positions": "cross.embeddings.position_embeddings.weight",
            "layers.": "cross.transformer.resblocks.",
            "pool_norm.": "cross.pooler.ln_pool.",
            "pool.": "cross.pooler.dense.",
            "logit.": "similarity_dense.",
        },
    ),
}

# A loose head that was built without its flag has a cross-encoder beside it that nothing ever reads.
_UNUSED_BY_LOOSE_HEADS = ("cross.", "similarity_dense.")
_LEGACY = {".gamma": ".weight", ".beta": ".bias"}
# Its biases start at zero and are never decayed, so that only training moves them.
_STARTS_AT_ZERO = ("cross.pooler.ln_pool.bias", "cross.pooler.dense.bias", "similarity_dense.bias")

_LAYER = r"transformer\.resblocks\.\d+\.(ln_[12]|attn\.(in_proj_|out_proj)|mlp\.c_(fc|proj))\.?(weight|bias)"
_CLIP = re.compile(
    rf"clip\.(logit_scale|positional_embedding|text_projection|token_embedding\.weight|{_LAYER}"
    rf"|ln_final\.(weight|bias)|visual\.(class_embedding|positional_embedding|proj|conv1\.weight"
    rf"|ln_(pre|post)\.(weight|bias)|{_LAYER}))"
)


def describe(tensors: Mapping[str, Tensor], source: str) -> Description:
    """Head, patch type and sizes of a checkpoint, from its keys and shapes.

    ``source`` is what an error calls it. Raises :class:`HarnessError` where a key is missing or has
    a shape that no such model has.
    """
    tensors = current_keys(tensors)

    def shape(key: str, axes: int) -> tuple[int, ...]:
        if key not in tensors:
            raise HarnessError(
                f"{source} is not a checkpoint of CLIP4Clip: it has no {key}",
                "the file has to hold the reference's state dict; only CLIPs with a ViT are supported",
            )
        if tensors[key].ndim != axes:
            raise HarnessError(
                f"{source} is not a checkpoint of CLIP4Clip: {key} has the shape {list(tensors[key].shape)}",
                f"it should have {axes} axes",
            )
        return tuple(tensors[key].shape)

    width, _, patch, _ = shape("clip.visual.conv1.weight", 4)
    positions, _ = shape("clip.visual.positional_embedding", 2)
    context, text_width = shape("clip.positional_embedding", 2)
    grid = round((positions - 1) ** 0.5)
    head = _head(tensors)
    return Description(
        head=head,
        linear_patch="3d" if "clip.visual.conv2.weight" in tensors else "2d",
        patch=patch,
        image=grid * patch,
        vision_width=width,
        vision_layers=_depth(tensors, "clip.visual.transformer.resblocks."),
        text_width=text_width,
        text_layers=_depth(tensors, "clip.transformer.resblocks."),
        context=context,
        vocabulary=shape("clip.token_embedding.weight", 2)[0],
        dim=shape("clip.text_projection", 2)[1],
        layers=_depth(tensors, _layers_of(head)),
    )


def names(backbone: Backbone, temporal: TemporalModule) -> dict[str, str]:
    """Our keys, ``backbone.`` and ``temporal.`` ones as in a model's state dict, to the official ones.

    Raises :class:`HarnessError` for a module or a backbone that the official format has no place for.
    """
    if type(temporal) not in _HEADS:
        raise HarnessError(
            f"the official format has no place for a {type(temporal).__name__}",
            f"choose a head of CLIP4Clip: {', '.join(head for head, _ in _HEADS.values())}",
        )
    table = _HEADS[type(temporal)][1]
    found = {f"temporal.{key}": _translate(key, table, backbone.name) for key in temporal.state_dict()}
    for key in backbone.state_dict():
        # open_clip keeps the text tower of its custom models apart; OpenAI's names do not.
        found[f"backbone.{key}"] = key.replace("clip.text.", "clip.", 1)
    clip = [official for ours, official in found.items() if ours.startswith("backbone.")]
    if not all(map(_CLIP.fullmatch, clip)):
        raise HarnessError(
            f"the official format holds OpenAI's kind of CLIP, and {backbone.name} is another",
            "choose a ViT of CLIP, such as ViT-B-32-quickgelu",
        )
    return found


def export(backbone: Backbone, temporal: TemporalModule) -> dict[str, Tensor]:
    """The whole model under official names, in its own number types.

    Raises :class:`HarnessError` as :func:`names`, and for one that others would read as OpenAI's CLIP
    and compute with another activation.
    """
    tensors = _exported(backbone, temporal)
    _check_activation(describe(tensors, backbone.name), backbone)
    return tensors


def load(backbone: Backbone, temporal: TemporalModule, tensors: Mapping[str, Tensor], source: str) -> None:
    """Fill a model with a checkpoint; number types are converted to the model's.

    Raises :class:`HarnessError` before anything is changed unless the checkpoint is of the same
    head, patch type and sizes, has every tensor of the model in the same shape, and has no other.
    """
    own = _exported(backbone, temporal)
    wanted = describe(own, backbone.name)
    tensors = current_keys(tensors)
    if wanted.head != "tightTransf" and (_head(tensors) != "tightTransf" or _is_unused_cross(tensors)):
        tensors = {k: v for k, v in tensors.items() if not k.startswith(_UNUSED_BY_LOOSE_HEADS)}
    held = describe(tensors, source)
    differs, advice = difference(held, wanted)
    if differs:
        if wanted.head != held.head == "meanP" and held.linear_patch == "2d":  # a CLIP and nothing else
            advice += f", or --weights {source} to start another head from its CLIP"
        raise HarnessError(f"{source} is of another CLIP4Clip: {differs}", advice)
    _check_activation(wanted, backbone)
    if problems := differences(tensors, own):
        raise HarnessError(
            f"{source} does not fit this model on {backbone.name}: {problems}",
            f"give a whole checkpoint of {held}",
        )
    found = {ours: tensors[official] for ours, official in names(backbone, temporal).items()}
    for prefix, module in (("backbone.", backbone), ("temporal.", temporal)):
        module.load_state_dict(
            {k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)}, strict=True
        )


def current_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys as the reference writes them today: norms named ``gamma`` and ``beta`` are renamed."""
    found = dict(tensors)
    for old, new in _LEGACY.items():
        # At the end of a key only: the words may be part of another.
        found = {key.removesuffix(old) + new if key.endswith(old) else key: v for key, v in found.items()}
    return found


def _exported(backbone: Backbone, temporal: TemporalModule) -> dict[str, Tensor]:
    own = _state(backbone, temporal)
    return {official: own[ours] for ours, official in names(backbone, temporal).items()}


def _check_activation(sizes: Description, backbone: Backbone) -> None:
    """No file says its activation. OpenAI's CLIPs compute with QuickGELU, and so does whoever reads
    a file of their sizes; with GELU the same weights run and are quietly worse."""
    one = torch.ones(())
    quick = torch.allclose(backbone.text.activation(one), torch.sigmoid(1.702 * one), atol=1e-4)
    if sizes.published_clip and not quick:
        raise HarnessError(
            f"the official format's CLIP of these sizes has QuickGELU, and {backbone.name} has not",
            f"--backbone {sizes.published_clip}",
        )


def _is_unused_cross(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a cross-encoder was never trained: the keys alone do not tell it from a tight head."""
    return not any(tensors[key].any() for key in _STARTS_AT_ZERO if key in tensors)


def _state(backbone: Backbone, temporal: TemporalModule) -> dict[str, Tensor]:
    parts = {"backbone": backbone, "temporal": temporal}
    return {f"{part}.{key}": value for part, m in parts.items() for key, value in m.state_dict().items()}


def _translate(key: str, table: Mapping[str, str], backbone: str) -> str:
    for ours, official in table.items():
        if key == ours or (ours.endswith(".") and key.startswith(ours)):
            return official + key.removeprefix(ours)
    raise HarnessError(
        f"the official format has no place for temporal.{key}",
        f"{backbone} is not of OpenAI's kind; choose a ViT of CLIP, such as ViT-B-32-quickgelu",
    )


def _head(tensors: Mapping[str, Tensor]) -> str:
    """The reference's name of the head whose parameters are there."""
    for start, head in (("transformerClip.", "seqTransf"), ("lstm_visual.", "seqLSTM")):
        if any(key.startswith(start) for key in tensors):
            return head
    return "tightTransf" if any(key.startswith("cross.") for key in tensors) else "meanP"


def _layers_of(head: str) -> str:
    table = next(table for name, table in _HEADS.values() if name == head)
    return table.get("layers.", "no such key")


def _depth(tensors: Mapping[str, Tensor], start: str) -> int:
    found = {m[1] for key in tensors if (m := re.match(re.escape(start) + r"(\d+)\.", key))}
    return len(found)
