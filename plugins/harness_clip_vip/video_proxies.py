"""Video proxies: CLIP-ViP's tokens and attention inside any ViT (paper, section 4.2).

Token order in every block: M proxies (proxy 0 is the class token), then the patches of frame 0, of
frame 1, and so on. The video feature is proxy 0, read out as the tower reads its class token.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from harness import HarnessError
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
from harness_clip_vip.options import VideoProxiesOptions


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
        # The patches' keys and values are copies, made again on the way back rather than held by every
        # block: so training takes no more memory than full attention does, for a hundredth of the time.
        if torch.is_grad_enabled():
            patches = checkpoint(of_patches, q, k, v, use_reentrant=False, preserve_rng_state=False)
        else:
            patches = of_patches(q, k, v)
        return torch.cat([of_proxies.transpose(1, 2), patches], dim=1).transpose(1, 2)

    return attend


class VideoProxies(TemporalModule):
    """``added`` ``[M - 1, W]`` proxies beside the class token, ``temporal`` ``[T0, W]`` table."""

    padding = "repeat"

    def __init__(self, width: int, options: VideoProxiesOptions, temporal_size: int) -> None:
        super().__init__()
        # Std 1 as in the reference; copies of one vector would get equal gradients for ever.
        self.added = nn.Parameter(torch.randn(options.proxies - 1, width))
        self.temporal = nn.Parameter(torch.randn(temporal_size, width) * options.temporal_init_std)

    def temporal_table(self, frames: int) -> Tensor:
        """The table resampled to ``[frames, W]``: linear, half-pixel centres, as in the reference."""
        if frames == len(self.temporal):
            return self.temporal
        resampled = functional.interpolate(
            self.temporal.T[None], size=frames, mode="linear", align_corners=False
        )
        return resampled[0].T

    def attention(self, frames: int) -> ClipAttention:
        """All M proxies first; the same in every block."""
        proxies = 1 + len(self.added)
        return ClipAttention(proxies, proxy_attention(proxies, frames))

    def encode(self, backbone: Backbone, video: VideoBatch) -> Features:
        tower = backbone.visual
        batch, frames = video.frames.shape[:2]
        patches = tower.patches(backbone.normalise(video.frames).flatten(0, 1))
        patches = patches.unflatten(0, (batch, frames)) + tower.patch_positions().to(patches.dtype)
        patches = patches + self.temporal_table(frames).to(patches.dtype)[:, None]
        proxies = torch.cat([tower.class_token()[None], self.added]) + tower.class_position()
        proxies = proxies.to(patches.dtype).expand(batch, -1, -1)
        x = tower.pre_norm(torch.cat([proxies, patches.flatten(1, 2)], dim=1))
        attention = proxy_attention(proxies.shape[1], frames)
        for block in tower.blocks[:-1]:
            x = block.feed_forward(block.attend(x, attention))
        # Only proxy 0 is read, so nothing else goes through the last feed-forward part.
        first = tower.blocks[-1].attend(x, attention)[:, :1]
        pooled = tower.read_out(tower.blocks[-1].feed_forward(first))
        mask = torch.ones(batch, 1, dtype=torch.bool, device=pooled.device)
        return Features(pooled[:, None], mask, pooled)


def build(options: VideoProxiesOptions, context: BuildContext) -> VideoProxies:
    if options.proxies < 1:
        raise HarnessError(
            f"video_proxies needs at least one proxy, got {options.proxies}", "set model.temporal.proxies"
        )
    tower = context.backbone.visual
    tower.require("class_token", "temporal module 'video_proxies'")
    return VideoProxies(tower.width, options, options.temporal_size or context.frames)
