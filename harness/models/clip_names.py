"""Hugging Face's names for the tensors of a CLIP, and OpenAI's, which are open_clip's too.

The same numbers lie in both: the two projections are transposed, and OpenAI keeps queries, keys and
values of a layer in one tensor. Nothing is converted or checked beside the names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

#: OpenAI's name, Hugging Face's name.
_SINGLE = {
    "logit_scale": "logit_scale",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",  # the misspelling is part of the name
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
}
_TRANSPOSED = {"text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight"}
_TOWERS = {
    "visual.transformer.resblocks.": "vision_model.encoder.layers.",
    "transformer.resblocks.": "text_model.encoder.layers.",
}
_IN_LAYER = {
    "attn.out_proj": "self_attn.out_proj",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_PARTS = ("q", "k", "v")


def is_huggingface(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are named as Hugging Face names a CLIP with both towers."""
    return {"vision_model.embeddings.class_embedding", "text_projection.weight"} <= tensors.keys()


def to_huggingface(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A CLIP's tensors under Hugging Face's names; a name that it has none for stays as it is."""
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        stacked = re.fullmatch(r"(.*resblocks\.)(\d+)\.attn\.in_proj_(weight|bias)", name)
        if stacked and stacked[1] in _TOWERS:
            layer = f"{_TOWERS[stacked[1]]}{stacked[2]}.self_attn"
            for part, own in zip(_PARTS, value.chunk(3), strict=True):
                found[f"{layer}.{part}_proj.{stacked[3]}"] = own
        elif name in _TRANSPOSED:
            found[_TRANSPOSED[name]] = value.T
        else:
            found[_SINGLE.get(name) or _layer(name, _TOWERS, _IN_LAYER) or name] = value
    return {name: value.contiguous() for name, value in found.items()}


def from_huggingface(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of :func:`to_huggingface`. ``*.position_ids``, which older files have, are left out."""
    single = {theirs: ours for ours, theirs in _SINGLE.items()}
    transposed = {theirs: ours for ours, theirs in _TRANSPOSED.items()}
    towers = {theirs: ours for ours, theirs in _TOWERS.items()}
    in_layer = {theirs: ours for ours, theirs in _IN_LAYER.items()}
    found: dict[str, Tensor] = {}
    stacks: dict[str, dict[str, tuple[str, Tensor]]] = {}
    for name, value in tensors.items():
        split = re.fullmatch(r"(.*layers\.)(\d+)\.self_attn\.([qkv])_proj\.(weight|bias)", name)
        if name.endswith(".position_ids"):
            continue
        if split and split[1] in towers:
            whole = f"{towers[split[1]]}{split[2]}.attn.in_proj_{split[4]}"
            stacks.setdefault(whole, {})[split[3]] = name, value
        elif name in transposed:
            found[transposed[name]] = value.T.contiguous()
        else:
            found[single.get(name) or _layer(name, towers, in_layer) or name] = value
    for whole, parts in stacks.items():
        if parts.keys() == set(_PARTS):
            found[whole] = torch.cat([parts[part][1] for part in _PARTS])
        else:  # what is there stays visible to who checks the names
            found.update(parts.values())
    return found


def _layer(name: str, towers: Mapping[str, str], in_layer: Mapping[str, str]) -> str:
    """The other name of a tensor in a layer; empty for any that is none."""
    match = re.fullmatch(r"(.*(?:resblocks|layers)\.)(\d+)\.(.+)\.(weight|bias)", name)
    if not match or match[1] not in towers or match[3] not in in_layer:
        return ""
    return f"{towers[match[1]]}{match[2]}.{in_layer[match[3]]}.{match[4]}"
