"""What timm's ViT and EVA have in common: embeddings, norms and the way to the features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from torch import Tensor, nn

from harness import lazy
from harness.models import PatchProjection, TowerBlock, TowerView
from harness_clip.towers.parts import refuse, refuse_random_drops


class TimmTrunk(TowerView):
    """A timm transformer ``trunk`` followed by open_clip's ``head``; subclasses bring the blocks.

    ``lacks`` says ``class_token`` where the trunk has none, and ``token_projection`` where it
    pools with attention: then only the pooled vector is ever projected and ``read_out(x, "all")``
    is refused.
    """

    def __init__(self, trunk: nn.Module, head: nn.Module, name: str, blocks: Sequence[TowerBlock]) -> None:
        _check(trunk, head, name)
        self._trunk = trunk
        self._head = head
        self.width = trunk.embed_dim
        self.heads = trunk.blocks[0].attn.num_heads
        self.image_size = trunk.patch_embed.img_size[0]
        self.grid = tuple(trunk.patch_embed.grid_size)
        self.blocks = tuple(blocks)
        self.lacks: Mapping[str, str] = _lacks(trunk, name)

    def patches(self, frames: Tensor, projection: PatchProjection | None = None) -> Tensor:
        embed = self._trunk.patch_embed
        if projection is not None:
            return embed.norm(projection(frames))
        return embed.norm(embed.proj(frames).flatten(2).transpose(1, 2))

    def patch_kernel(self) -> tuple[Tensor, Tensor | None]:
        return self._trunk.patch_embed.proj.weight, self._trunk.patch_embed.proj.bias

    def class_token(self) -> Tensor:
        self.require("class_token", "this temporal module")
        return self._trunk.cls_token[0, 0]

    def class_position(self) -> Tensor:
        token = self.class_token()
        if self._trunk.pos_embed is None or self._trunk.no_embed_class:
            return token.new_zeros(token.shape)
        return self._trunk.pos_embed[0, 0]

    def patch_positions(self) -> Tensor:
        table = self._trunk.pos_embed
        if table is None:
            return self._trunk.patch_embed.proj.weight.new_zeros(self.grid[0] * self.grid[1], self.width)
        return table[0] if self._trunk.no_embed_class else table[0, self._trunk.num_prefix_tokens :]

    def pre_norm(self, x: Tensor) -> Tensor:
        return self._trunk.norm_pre(x)

    def read_out(self, x: Tensor, which: Literal["pooled", "all", "hidden"] = "pooled") -> Tensor:
        trunk = self._trunk
        x = trunk.norm(x)
        if which == "pooled":
            return self._head(trunk.forward_head(x))
        if which == "all":
            self.require("token_projection", "reading every token out")
        x = trunk.fc_norm(x)
        return x if which == "hidden" else self._head(trunk.head(x))


def _lacks(trunk: nn.Module, name: str) -> dict[str, str]:
    lacks = {}
    if trunk.cls_token is None:
        lacks["class_token"] = f"{name} has patches only"
    if trunk.attn_pool is not None:
        lacks["token_projection"] = f"{name} pools with attention and projects nothing but the result"
    return lacks


def _check(trunk: nn.Module, head: nn.Module, name: str) -> None:
    refuse_random_drops(trunk, name)
    refuse_random_drops(head, name)
    if type(trunk.patch_embed) is not lazy.timm().layers.PatchEmbed:
        refuse(name, f"its patches come from timm's {type(trunk.patch_embed).__name__}")
    if trunk.reg_token is not None:
        refuse(name, "it has register tokens beside the class token")
    if not trunk.global_pool and trunk.attn_pool is None:
        refuse(name, "it does not pool its tokens")
