"""The video adapter: a little temporal convolution inside a block of a picture tower (A1, A2, A4).

After ST-Adapter (arXiv 2206.13559), with a norm and an activation. It starts as the identity, so that a
fresh video tower gives the picture tower's own features.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, cat, nn


class VideoAdapter(nn.Module):
    """``P + up(activation(conv(down(norm(P)))))`` over the patches ``P`` of a clip; the class token passes.

    ``kernel`` is in time, height and width, each odd, with zeros around the clip.
    """

    def __init__(self, width: int, hidden: int, kernel: Sequence[int], activation: str, prenorm: bool):
        super().__init__()
        self.ln = nn.LayerNorm(width) if prenorm else nn.Identity()
        self.down = nn.Linear(width, hidden)
        padding = tuple(side // 2 for side in kernel)
        self.conv = nn.Conv3d(hidden, hidden, tuple(kernel), padding=padding, groups=hidden)
        self.activation = nn.GELU() if activation == "gelu" else nn.Identity()
        self.up = nn.Linear(hidden, width)
        for zero in (self.down.bias, self.conv.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor, frames: int, grid: tuple[int, int]) -> Tensor:
        """Tokens ``[B T, 1 + L, W]``, the frames of a clip one after the other, to the same shape."""
        leading, patches = x[:, :1], x[:, 1:]
        inner = self.down(self.ln(patches))
        # [B, hidden, T, height, width]
        clip = inner.unflatten(0, (-1, frames)).unflatten(2, grid).permute(0, 4, 1, 2, 3)
        inner = self.activation(self.conv(clip)).permute(0, 2, 3, 4, 1).flatten(0, 1).flatten(1, 2)
        return cat([leading, patches + self.up(inner)], dim=1)
