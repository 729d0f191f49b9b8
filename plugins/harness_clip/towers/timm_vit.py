"""timm's plain ViT (SigLIP, CLIP, ImageNet weights) taken apart."""

from __future__ import annotations

from torch import Tensor, nn

from harness import lazy
from harness.models import Attention, TowerBlock, full_attention
from harness_clip.towers.parts import merge_heads, refuse, split_heads
from harness_clip.towers.timm_trunk import TimmTrunk


class TimmBlock(TowerBlock):
    """timm's pre-norm ``Block``: fused projections, optional query, key and context norms."""

    def __init__(self, block: nn.Module) -> None:
        self._block = block

    def attend(self, x: Tensor, attention: Attention = full_attention) -> Tensor:
        block, attn = self._block, self._block.attn
        q, k, v = (split_heads(p, attn.num_heads) for p in attn.qkv(block.norm1(x)).chunk(3, dim=-1))
        context = merge_heads(attention(attn.q_norm(q), attn.k_norm(k), v))
        return x + block.ls1(attn.proj(attn.norm(context)))

    def feed_forward(self, x: Tensor) -> Tensor:
        return x + self._block.ls2(self._block.mlp(self._block.norm2(x)))


class TimmViT(TimmTrunk):
    """``timm.models.vision_transformer.VisionTransformer`` with any of its poolings.

    Refused: layers other than timm's plain ``Block``, differential or gated attention, register
    tokens, hybrid patch embeddings and any active dropout.
    """

    def __init__(self, trunk: nn.Module, head: nn.Module, name: str) -> None:
        vit = lazy.timm().models.vision_transformer
        for block in trunk.blocks:
            if type(block) is not vit.Block:
                refuse(name, f"its layers are of type {type(block).__name__}")
            if type(block.attn) is not vit.Attention:
                refuse(name, f"its attention is of type {type(block.attn).__name__}")
            if getattr(block.attn, "gate", None) is not None:
                refuse(name, "its attention has a gate on the context")
        super().__init__(trunk, head, name, [TimmBlock(block) for block in trunk.blocks])
