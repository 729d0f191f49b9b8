"""Video proxies: CLIP-ViP's tokens and attention inside any ViT (paper, section 4.2).

Token order in every block: M proxies (proxy 0 is the class token), then the patches of frame 0, of
frame 1, and so on. The video feature is proxy 0, read out as the tower reads its class token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from harness.models import (
    Attention,
    Backbone,
    BuildContext,
    ClipAttention,
    Features,
    TemporalModule,
    VideoBatch,
    full_attention,
)
from harness_clip_vip.options import FullAttentionOptions, VideoProxiesOptions


def proxy_attention(proxies: int, frames: int) -> Attention:
    """Proxy-guided attention: proxies see everything, a patch sees the proxies and its own frame.

    The softmax runs over exactly that set of keys. Two unmasked calls compute it, with time
    folded into the batch for the patches, so no mask of size (M + T L)^2 ever exists.
    """

    def cut(x: Tensor) -> tuple[Tensor, Tensor]:  # [B, 1, H, M, d] and [B, T, H, L, d]
        leading, rest = x.split((proxies, x.shape[2] - proxies), dim=2)
        return leading[:, None], rest.unflatten(2, (frames, -1)).transpose(1, 2)

    def with_proxies(x: Tensor) -> Tensor:  # [B T, H, M + L, d]
        leading, rest = cut(x)
        return torch.cat([leading.expand(-1, frames, -1, -1, -1), rest], dim=3).flatten(0, 1)

    def of_patches(q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # [B, T L, H, d]
        patches = full_attention(cut(q)[1].flatten(0, 1), with_proxies(k), with_proxies(v))
        return patches.transpose(1, 2).unflatten(0, (-1, frames)).flatten(1, 2)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        of_proxies = full_attention(q[:, :, :proxies], k, v)
        patches = torch.cat([once(of_patches, *heads) for heads in some_heads(q, k, v)], dim=2)
        return torch.cat([of_proxies.transpose(1, 2), patches], dim=1).transpose(1, 2)

    def some_heads(*qkv: Tensor) -> Iterator[tuple[Tensor, ...]]:
        # The patches' keys and values are copies: those of a quarter of the heads at a time keep training
        # within the memory of full attention.
        quarter = -(-qkv[0].shape[1] // 4) if torch.is_grad_enabled() else qkv[0].shape[1]
        return zip(*(x.split(quarter, dim=1) for x in qkv), strict=True)

    return attend


def once(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """The function's value, whose way there is made again on the way back rather than held until then."""
    if torch.is_grad_enabled():
        return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
    return function(*inputs)


def resampled(table: Tensor, frames: int) -> Tensor:
    """``[T, W]`` to ``[frames, W]``: linear, half-pixel centres, as in the reference."""
    if frames == len(table):
        return table
    return functional.interpolate(table.T[None], size=frames, mode="linear", align_corners=False)[0].T


class VideoProxies(TemporalModule):
    """``added`` ``[M - 1, W]`` proxies beside the class token, ``temporal`` ``[T0, W]`` table.

    ``restricted`` False lets every token see every token: the paper's full attention.
    """

    padding = "repeat"

    def __init__(
        self, width: int, options: VideoProxiesOptions, temporal_size: int, restricted: bool = True
    ) -> None:
        super().__init__()
        self.restricted = restricted
        self.resize_on_import = options.resize_on_import
        # Std 1 as in the reference; copies of one vector would get equal gradients for ever.
        self.added = nn.Parameter(torch.randn(options.proxies - 1, width))
        table = torch.randn(temporal_size, width) * options.temporal_init_std
        self.temporal = nn.Parameter(table) if options.temporal_embedding else None

    def temporal_table(self, frames: int) -> Tensor | None:
        """The table ``[frames, W]``, resampled where it has other rows. None where there is none."""
        return None if self.temporal is None else resampled(self.temporal, frames)

    def attention(self, frames: int) -> ClipAttention:
        """All M proxies first; the same in every block."""
        proxies = 1 + len(self.added)
        return ClipAttention(proxies, proxy_attention(proxies, frames) if self.restricted else full_attention)

    def embeddings(self, backbone: Backbone, video: VideoBatch) -> Tensor:
        """Proxies and patches with their positions ``[B, M + T L, W]``, before the tower's first norm."""
        tower = backbone.visual
        batch, frames = video.frames.shape[:2]
        patches = tower.patches(backbone.normalise(video.frames).flatten(0, 1))
        patches = patches.unflatten(0, (batch, frames)) + tower.patch_positions().to(patches.dtype)
        table = self.temporal_table(frames)
        if table is not None:
            patches = patches + table.to(patches.dtype)[:, None]
        proxies = torch.cat([tower.class_token()[None], self.added]) + tower.class_position()
        proxies = proxies.to(patches.dtype).expand(batch, -1, -1)
        return torch.cat([proxies, patches.flatten(1, 2)], dim=1)

    def hidden_states(self, backbone: Backbone, video: VideoBatch) -> Iterator[Tensor]:
        """All tokens ``[B, M + T L, W]`` as they enter the first block, then after each block."""
        tower, attend = backbone.visual, self.attention(video.frames.shape[1]).attend
        x = tower.pre_norm(self.embeddings(backbone, video))
        yield x
        for block in tower.blocks:
            x = block.feed_forward(block.attend(x, attend))
            yield x

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        tower, attend = backbone.visual, self.attention(video.frames.shape[1]).attend
        x = tower.pre_norm(self.embeddings(backbone, video))
        for block in tower.blocks[:-1]:
            x = block.feed_forward(block.attend(x, attend))
        # Only proxy 0 is read, so nothing else goes through the last feed-forward part.
        first = tower.blocks[-1].attend(x, attend)[:, :1]
        pooled = tower.read_out(tower.blocks[-1].feed_forward(first))
        mask = torch.ones(len(pooled), 1, dtype=torch.bool, device=pooled.device)
        return Features(pooled[:, None], mask, pooled)


def build(options: VideoProxiesOptions, context: BuildContext) -> VideoProxies:
    tower = context.backbone.visual
    tower.require("class_token", "temporal module 'video_proxies'")
    if options.logit_scale_init:
        context.backbone.logit_scale.data.fill_(options.logit_scale_init)
    return VideoProxies(tower.width, options, options.temporal_size or context.frames)


def build_full(options: FullAttentionOptions, context: BuildContext) -> VideoProxies:
    """The class token alone, and no restriction."""
    tower = context.backbone.visual
    tower.require("class_token", "temporal module 'full_attention'")
    alone = VideoProxiesOptions(
        proxies=1,
        temporal_embedding=options.temporal_embedding,
        temporal_init_std=options.temporal_init_std,
    )
    return VideoProxies(tower.width, alone, options.temporal_size or context.frames, restricted=False)
