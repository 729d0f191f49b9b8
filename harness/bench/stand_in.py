"""A backbone that computes nothing: its frames and words hold the features that a tower would make."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import HarnessError
from harness.models import Backbone, Encoding, Features, TextBatch, TextView, TowerView, VideoBatch


class StandIn(Backbone):
    """Takes its width, text layers and temperature from ``tower``.

    A frame is floats ``[3, s, s]`` whose first ``dim`` are its feature. A token is a row of
    ``vectors [words, dim]``; the first token of a text is its pooled feature.
    """

    def __init__(self, tower: Backbone, words: int) -> None:
        super().__init__()
        self.name, self.pretraining = f"a stand-in for {tower.name}", tower.pretraining
        self.dim, self.preprocess, self.tokenizer = tower.dim, tower.preprocess, tower.tokenizer
        self.logit_scale = nn.Parameter(tower.logit_scale.detach().clone())
        self.register_buffer("vectors", torch.randn(words, tower.dim))
        self._text = tower.text

    @property
    def visual(self) -> TowerView:
        """There is none."""
        raise HarnessError(
            "it works inside the visual tower, and a stand-in has none",
            "measure a module that takes frame features",
        )

    @property
    def text(self) -> TextView:
        """The text layers of the tower that is stood in for."""
        return self._text

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Frames ``[N, 3, s, s]`` to the features ``[N, D]`` that they hold."""
        return frames.flatten(1)[:, : self.dim]

    def encode_text(self, tokens: Tensor, mask: Tensor) -> Features:
        """Tokens ``[B, L]`` to their rows; the first one's is the pooled feature."""
        features = self.vectors[tokens]
        return Features(features, mask, features[:, 0])

    def weights(self) -> dict[str, Tensor]:
        """Nothing was learned."""
        return {}


def refuse_backbone(value: Mapping[str, Any]) -> Backbone:
    """In place of a further tower: :class:`HarnessError`."""
    raise HarnessError(
        f"it needs a further tower, {value['name']}", "measure a module that takes frame features"
    )


def clips_of(stand_in: StandIn, count: int, frames: int, size: int) -> Iterator[VideoBatch]:
    """``count`` clips with random features in batches of ``size``; the same clips for every size."""
    random = torch.Generator().manual_seed(1)
    side = math.ceil(math.sqrt(stand_in.dim / 3))
    pixels = torch.randn(count, frames, 3, side, side, generator=random)
    for start in range(0, count, size):
        part = pixels[start : start + size]
        yield VideoBatch(
            ids=tuple(map(str, range(start, start + len(part)))),
            frames=part,
            mask=torch.ones(part.shape[:2], dtype=torch.bool),
            times=torch.zeros(part.shape[:2]),
        )


def texts_of(stand_in: StandIn, count: int, length: int) -> TextBatch:
    """``count`` texts of ``length`` tokens, each with another pooled feature."""
    tokens = (torch.arange(count)[:, None] + torch.arange(length)) % len(stand_in.vectors)
    names = tuple(map(str, range(count)))
    encoding = Encoding(tokens, torch.ones_like(tokens, dtype=torch.bool))
    return TextBatch(names, names, names, {stand_in.tokenizer.name: encoding})
