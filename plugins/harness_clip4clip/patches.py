"""The 3d linear patch: a patch projection that also looks at the frames before and after."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.models import TowerView


class TemporalPatches(nn.Module):
    """A convolution over three frames in place of the tower's own over one (paper, section 3.2).

    ``weight [W, 3, 3, P, P]`` is (channels, time, height, width) after its first axis. It starts
    as the tower's projection in its middle slice and zero around it, so that at first it computes
    the same. The tower's own projection stays where it is, unused and without a gradient.
    """

    def __init__(self, tower: TowerView) -> None:
        super().__init__()
        kernel, bias = tower.patch_kernel()
        weight = torch.zeros_like(kernel)[:, :, None].repeat(1, 1, 3, 1, 1)
        weight[:, :, 1] = kernel.detach()
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

    def forward(self, frames: Tensor) -> Tensor:
        """Frames ``[B, T, 3, H, W]`` to patches ``[B T, L, W]``; beyond both ends lies black."""
        stride = (1, *self.weight.shape[-2:])
        held = torch.float16 if self.weight.dtype == torch.float16 else frames.dtype
        x = functional.conv3d(
            frames.to(held).transpose(1, 2), self.weight, self.bias, stride, padding=(1, 0, 0)
        )
        return x.transpose(1, 2).flatten(0, 1).flatten(2).transpose(1, 2)
