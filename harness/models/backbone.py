"""Backbone: an image-text dual tower and what its pixels and words have to look like."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from harness.errors import HarnessError
from harness.models.batch import Encoding, Features
from harness.models.text_tower import TextView
from harness.models.tower import TowerView


@dataclass(frozen=True)
class Preprocess:
    """What a tower was trained on. ``mean`` and ``std`` are for pixels in 0..1, RGB."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    fit: Literal["crop", "squash"] = "crop"

    def normalise(self, frames: Tensor, dtype: torch.dtype) -> Tensor:
        """uint8 frames ``[..., 3, H, W]`` to the tower's input, in ``dtype`` and where they are."""
        mean = torch.tensor(self.mean, dtype=dtype, device=frames.device).view(3, 1, 1)
        std = torch.tensor(self.std, dtype=dtype, device=frames.device).view(3, 1, 1)
        return (frames.to(dtype) / 255 - mean) / std


@dataclass(frozen=True)
class Vocabulary:
    """What a model that writes has to know of token ids: there are ``size`` of them, ``start`` and
    ``end`` enclose a text, ``decode`` gives the text of ids. ``mask`` stands for a token that is to be
    predicted and ``pad`` for none, where a tokenizer has them."""

    size: int
    start: int
    end: int
    decode: Callable[[Sequence[int]], str]
    mask: int = -1
    pad: int = -1


@dataclass(frozen=True)
class Tokenizer:
    """``encode(texts, length)`` gives tokens and mask ``[B, length]``; ``context`` is its limit.

    ``vocabulary`` is there where ids can be turned into text again.
    """

    name: str
    context: int
    encode: Callable[[Sequence[str], int], Encoding]
    vocabulary: Vocabulary | None = None


class Backbone(nn.Module):
    """An image-text dual tower.

    ``name`` is what the leaderboard prints, ``pretraining`` where its weights come from,
    ``dim`` the width of the shared space, ``logit_scale`` the learned log of the inverse
    temperature. ``visual`` is the visual tower as a :class:`TowerView`.
    """

    name: str
    pretraining: str
    dim: int
    preprocess: Preprocess
    tokenizer: Tokenizer
    logit_scale: nn.Parameter

    @property
    @abstractmethod
    def visual(self) -> TowerView:
        """The visual tower taken apart; it shares this module's parameters."""

    @property
    def text(self) -> TextView:
        """The text tower's layers, for modules that start theirs from them."""
        raise HarnessError(
            f"the text tower of {self.name} cannot be taken apart",
            "choose another backbone with --backbone; `harness list backbones` shows them",
        )

    def depth(self, name: str) -> int | None:
        """Where a parameter of this module stands in its tower, by its name in ``named_parameters``.

        0: before the first layer (patch projection, class token, positions, token table, the norm
        after them); k: in the kth layer; None: behind the last one.
        """
        raise HarnessError(
            f"{self.name} does not say in which layer a parameter stands, which train.freeze_layers needs",
            "name what is trained with train.trainable instead",
        )

    def forget_text(self) -> None:
        """Drop the text tower, of a further backbone that only looks; the logit scale stays as a constant."""
        raise HarnessError(
            f"{self.name} cannot be a tower without text",
            "choose another backbone; `harness list backbones` shows them",
        )

    def hold_in_half(self) -> None:
        """Keep the linear maps of both towers (convolutions, attention and feed-forward weights with
        their biases, both projections) in half precision from now on, and compute in it. Norms,
        embeddings, positions and the logit scale stay in single precision."""
        raise HarnessError(
            f"{self.name} cannot be held in half precision", "set train.precision to bf16 or fp32"
        )

    @abstractmethod
    def encode_frames(self, frames: Tensor) -> Tensor:
        """Normalised frames ``[N, 3, H, W]`` to projected features ``[N, D]``, not unit length."""

    @abstractmethod
    def encode_text(self, tokens: Tensor, mask: Tensor) -> Features:
        """Tokens ``[B, L]`` to projected features; ``pooled [B, D]`` is not unit length."""

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """This tower's parameters as a file for its own ``weights`` option holds them."""

    def normalise(self, frames: Tensor) -> Tensor:
        """uint8 frames ``[..., 3, H, W]`` to the tower's input; float frames pass unchanged.

        On the device, from uint8: a quarter of the traffic of sending floats.
        """
        if frames.is_floating_point():
            return frames
        return self.preprocess.normalise(frames, self.logit_scale.dtype)
