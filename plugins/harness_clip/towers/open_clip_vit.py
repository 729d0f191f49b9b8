"""open_clip's own ViT (OpenAI CLIP, OpenCLIP, CLIPA, DFN, MetaCLIP weights) taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness import lazy
from harness.models import Attention, PatchProjection, TowerBlock, TowerView, full_attention
from harness_clip.towers.parts import merge_heads, refuse, refuse_random_drops, split_heads


class OpenClipBlock(TowerBlock):
    """A ``ResidualAttentionBlock``: pre-norm attention and MLP, each with optional layer scale."""

    def __init__(self, block: nn.Module) -> None:
        self._block = block

    def attend(self, x: Tensor, attention: Attention = full_attention) -> Tensor:
        block, attn = self._block, self._block.attn
        qkv = functional.linear(block.ln_1(x), attn.in_proj_weight, attn.in_proj_bias)
        q, k, v = (split_heads(part, attn.num_heads) for part in qkv.chunk(3, dim=-1))
        return x + block.ls_1(attn.out_proj(merge_heads(attention(q, k, v))))

    def feed_forward(self, x: Tensor) -> Tensor:
        return x + self._block.ls_2(self._block.mlp(self._block.ln_2(x)))


class OpenClipViT(TowerView):
    """``open_clip.transformer.VisionTransformer``; always with a class token.

    ``visual`` is the module and ``name`` what an error calls it. Refused: attention pooling
    (CoCa), the ``custom`` attention block, patch dropout, and a tower without pooling.
    """

    def __init__(self, visual: nn.Module, name: str) -> None:
        _check(visual, name)
        self._visual = visual
        self.width = visual.conv1.out_channels
        self.image_size = visual.image_size[0]
        self.grid = tuple(visual.grid_size)
        self.heads = visual.transformer.resblocks[0].attn.num_heads
        self.blocks = tuple(OpenClipBlock(block) for block in visual.transformer.resblocks)
        self.lacks: Mapping[str, str] = {}

    def patches(self, frames: Tensor, projection: PatchProjection | None = None) -> Tensor:
        if projection is not None:
            return projection(frames)
        conv = self._visual.conv1
        # A tower that is held in half precision gets single-precision frames.
        held = torch.float16 if conv.weight.dtype == torch.float16 else frames.dtype
        return conv(frames.to(held)).flatten(2).transpose(1, 2)

    def patch_kernel(self) -> tuple[Tensor, Tensor | None]:
        return self._visual.conv1.weight, self._visual.conv1.bias

    def class_token(self) -> Tensor:
        return self._visual.class_embedding

    def class_position(self) -> Tensor:
        return self._visual.positional_embedding[0]

    def patch_positions(self) -> Tensor:
        return self._visual.positional_embedding[1:]

    def pre_norm(self, x: Tensor) -> Tensor:
        return self._visual.ln_pre(x)

    def read_out(self, x: Tensor, which: Literal["pooled", "all", "hidden"] = "pooled") -> Tensor:
        visual = self._visual
        if which == "hidden":
            return visual.ln_post(x)
        if which == "all":
            return visual.ln_post(x) @ visual.proj
        # A norm of the class token alone is the same before and after pooling; of a mean it is not.
        pooled = self._pool(x if visual.final_ln_after_pool else visual.ln_post(x))
        if visual.final_ln_after_pool:
            pooled = visual.ln_post(pooled)
        return pooled @ visual.proj

    def _pool(self, x: Tensor) -> Tensor:
        return x[:, 0] if self._visual.pool_type == "tok" else x[:, 1:].mean(dim=1)


def _check(visual: nn.Module, name: str) -> None:
    transformer = lazy.open_clip().transformer
    refuse_random_drops(visual, name)
    if visual.attn_pool is not None:
        refuse(name, "it pools with learned queries (CoCa's attentional pooler)")
    if visual.pool_type not in ("tok", "avg"):
        refuse(name, f"it does not pool its tokens (pool_type {visual.pool_type!r})")
    for block in visual.transformer.resblocks:
        if type(block) is not transformer.ResidualAttentionBlock:
            refuse(name, f"its layers are of type {type(block).__name__} ({_custom_parts(block)})")
        if not isinstance(block.attn, torch.nn.MultiheadAttention):
            refuse(name, f"its attention is of type {type(block.attn).__name__}")


def _custom_parts(block: nn.Module) -> str:
    """Which of open_clip's attention variants a ``CustomResidualAttentionBlock`` uses."""
    attn = getattr(block, "attn", None)
    parts = {
        "scaled cosine attention": getattr(attn, "logit_scale", None) is not None,
        "scaled heads": getattr(attn, "head_scale", None) is not None,
        "normalised queries and keys": _is_active(attn, "ln_q"),
        "a norm inside attention": _is_active(attn, "ln_inner"),
        "a norm after attention": _is_active(block, "ln_attn"),
    }
    return ", ".join(part for part, used in parts.items() if used) or "open_clip's custom block"


def _is_active(module: nn.Module | None, attribute: str) -> bool:
    return not isinstance(getattr(module, attribute, None), (nn.Identity, type(None)))
