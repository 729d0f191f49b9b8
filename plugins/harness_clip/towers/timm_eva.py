"""timm's EVA (EVA-CLIP g/14) taken apart. EVA-02's rotary attention is refused by name."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness import lazy
from harness.models import Attention, TowerBlock, full_attention
from harness_clip.towers.parts import merge_heads, refuse, split_heads
from harness_clip.towers.timm_trunk import TimmTrunk


class EvaBlock(TowerBlock):
    """timm's pre-norm ``EvaBlock``: keys without a bias, optional layer scale and norms."""

    def __init__(self, block: nn.Module) -> None:
        self._block = block

    def attend(self, x: Tensor, attention: Attention = full_attention) -> Tensor:
        block, attn = self._block, self._block.attn
        q, k, v = (split_heads(part, attn.num_heads) for part in _project(attn, block.norm1(x)))
        context = merge_heads(attention(attn.q_norm(q), attn.k_norm(k), v))
        return x + _scaled(attn.proj(attn.norm(context)), block.gamma_1)

    def feed_forward(self, x: Tensor) -> Tensor:
        return x + _scaled(self._block.mlp(self._block.norm2(x)), self._block.gamma_2)


class TimmEva(TimmTrunk):
    """``timm.models.eva.Eva`` with absolute positions.

    Refused: rotary positions (a method that adds tokens would have to invent their angles), the
    post-norm block, gated and grouped attention, register tokens and any active dropout.
    """

    def __init__(self, trunk: nn.Module, head: nn.Module, name: str) -> None:
        eva = lazy.timm().models.eva
        if trunk.rope is not None:
            refuse(name, "its attention rotates queries and keys by patch position (rotary attention)")
        for block in trunk.blocks:
            if type(block) is not eva.EvaBlock:
                refuse(name, f"its layers are of type {type(block).__name__}")
            if type(block.attn) is not eva.EvaAttention:
                refuse(name, f"its attention is of type {type(block.attn).__name__}")
            if getattr(block.attn, "gate", None) is not None:
                refuse(name, "its attention has a gate on the context")
        super().__init__(trunk, head, name, [EvaBlock(block) for block in trunk.blocks])


def _project(attn: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values ``[B, N, H * d]``; timm keeps them in one matrix or in three."""
    if attn.qkv is None:
        return attn.q_proj(x), attn.k_proj(x), attn.v_proj(x)
    biases = attn.q_bias, attn.k_bias, attn.v_bias
    bias = attn.qkv.bias if attn.q_bias is None else torch.cat(biases)
    return functional.linear(x, attn.qkv.weight, bias).chunk(3, dim=-1)


def _scaled(x: Tensor, gamma: Tensor | None) -> Tensor:
    return x if gamma is None else gamma * x
