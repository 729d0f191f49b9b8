"""TowerView: one face for the visual towers of every family, so that a module can work inside.

A temporal module that adds tokens, restricts attention or runs code between the layers needs the
tower taken apart. The view offers its pieces in the order in which the tower uses them; putting
them together plainly (:meth:`TowerView.forward`) gives the tower's own image features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from harness.errors import HarnessError

#: ``attention(q, k, v)``: queries, keys and values ``[B, H, N, d]`` to a context of that shape.
Attention = Callable[[Tensor, Tensor, Tensor], Tensor]

#: Replaces the linear patch projection: frames ``[N, 3, H, W]`` to patches ``[N, L, W]``.
PatchProjection = Callable[[Tensor], Tensor]


def full_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Every token sees every token."""
    return functional.scaled_dot_product_attention(q, k, v)


class TowerBlock(ABC):
    """One layer in two halves; each includes its own norm, layer scale and residual."""

    @abstractmethod
    def attend(self, x: Tensor, attention: Attention = full_attention) -> Tensor:
        """``x [B, N, W]`` plus its attention; ``attention`` decides who sees whom."""

    @abstractmethod
    def feed_forward(self, x: Tensor) -> Tensor:
        """``x [B, N, W]`` plus its feed-forward part."""


class TowerView(ABC):
    """The visual tower of a backbone, in pieces that share its parameters.

    ``lacks`` maps what this family cannot offer to the reason; :meth:`require` refuses by name.
    """

    width: int
    heads: int
    image_size: int
    grid: tuple[int, int]
    blocks: Sequence[TowerBlock]
    lacks: Mapping[str, str]

    def require(self, part: str, wanted_by: str) -> None:
        """Raise :class:`HarnessError` when ``wanted_by`` needs a part that this tower lacks."""
        if part in self.lacks:
            raise HarnessError(
                f"{wanted_by} needs a visual tower with {part.replace('_', ' ')}: {self.lacks[part]}",
                "choose another backbone with --backbone; `harness list backbones` shows them",
            )

    @abstractmethod
    def patches(self, frames: Tensor, projection: PatchProjection | None = None) -> Tensor:
        """Normalised frames ``[N, 3, H, W]`` to patches ``[N, L, W]``, row-major, no positions."""

    @abstractmethod
    def patch_kernel(self) -> tuple[Tensor, Tensor | None]:
        """The linear patch projection as a convolution: weight ``[W, 3, P, P]`` and bias ``[W]``."""

    @abstractmethod
    def class_token(self) -> Tensor:
        """The learned class embedding ``[W]``, without its position."""

    @abstractmethod
    def class_position(self) -> Tensor:
        """The class token's row of the position table ``[W]`` (zeros where it has none)."""

    @abstractmethod
    def patch_positions(self) -> Tensor:
        """The patches' rows of the position table ``[L, W]``."""

    @abstractmethod
    def pre_norm(self, x: Tensor) -> Tensor:
        """The norm between the embeddings and the first block (identity where there is none)."""

    @abstractmethod
    def read_out(self, x: Tensor, which: Literal["pooled", "all", "hidden"] = "pooled") -> Tensor:
        """What the tower makes of the last block's tokens ``x [N, K, W]``, class token first.

        ``pooled``: image features ``[N, D]``, as the tower itself pools them; ``all``: every token
        normed and projected ``[N, K, D]``; ``hidden``: every token normed ``[N, K, W]``.
        """

    def embed(self, frames: Tensor, projection: PatchProjection | None = None) -> Tensor:
        """Frames ``[N, 3, H, W]`` to the tokens that enter the first block ``[N, 1 + L, W]``."""
        x = self.patches(frames, projection)
        x = x + self.patch_positions().to(x.dtype)
        if "class_token" not in self.lacks:
            first = (self.class_token() + self.class_position()).to(x.dtype)
            x = torch.cat([first.expand(x.shape[0], 1, -1), x], dim=1)
        return self.pre_norm(x)

    def forward(self, frames: Tensor, projection: PatchProjection | None = None) -> Tensor:
        """The tower run plainly: frames ``[N, 3, H, W]`` to features ``[N, D]``."""
        x = self.embed(frames, projection)
        for block in self.blocks:
            x = block.feed_forward(block.attend(x))
        return self.read_out(x)
