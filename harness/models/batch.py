"""What flows through a model: batches of clips and texts in, features out.

Batch first; masks are bool with True for what is real.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.errors import HarnessError


@dataclass(frozen=True)
class VideoBatch:
    """Clips of one batch.

    ``frames`` uint8 or float ``[B, T, 3, H, W]`` (uint8 straight from the cache; the backbone
    normalises it on the device), ``mask`` bool ``[B, T]``, ``times`` seconds ``[B, T]``.
    """

    ids: tuple[str, ...]
    frames: Tensor
    mask: Tensor
    times: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> VideoBatch:
        return VideoBatch(self.ids[rows], self.frames[rows], self.mask[rows], self.times[rows])

    def to(self, device: torch.device) -> VideoBatch:
        return replace(
            self,
            frames=self.frames.to(device, non_blocking=True),
            mask=self.mask.to(device, non_blocking=True),
            times=self.times.to(device, non_blocking=True),
        )


@dataclass(frozen=True)
class Encoding:
    """Texts as one tokenizer sees them: ``tokens`` int64 ``[B, L]``, ``mask`` bool ``[B, L]``."""

    tokens: Tensor
    mask: Tensor


@dataclass(frozen=True)
class TextBatch:
    """Texts of one batch, encoded once per tokenizer that the model's parts declare."""

    ids: tuple[str, ...]
    video_ids: tuple[str, ...]
    raw: tuple[str, ...]
    encodings: Mapping[str, Encoding]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> TextBatch:
        cut = {name: Encoding(e.tokens[rows], e.mask[rows]) for name, e in self.encodings.items()}
        return TextBatch(self.ids[rows], self.video_ids[rows], self.raw[rows], cut)

    def encoding(self, tokenizer: str) -> Encoding:
        return self.encodings[tokenizer]

    def to(self, device: torch.device) -> TextBatch:
        moved = {
            name: Encoding(e.tokens.to(device, non_blocking=True), e.mask.to(device, non_blocking=True))
            for name, e in self.encodings.items()
        }
        return replace(self, encodings=moved)


@dataclass(frozen=True)
class Batch:
    """Named sources of one training batch; row ``i`` of every source belongs to one sample.

    Which sources there are, its loss says (:class:`harness.LossSpec`). ``seeds`` holds a number for each
    sample that depends on nothing but the run's seed, the stage, the epoch and the sample: what is drawn
    from it is the same for any number of workers.
    """

    sources: Mapping[str, VideoBatch | TextBatch]
    seeds: tuple[int, ...] = ()

    @property
    def clip_ids(self) -> tuple[str, ...]:
        return self.sources["video"].ids

    def to(self, device: torch.device) -> Batch:
        return Batch({name: source.to(device) for name, source in self.sources.items()}, self.seeds)


@dataclass(frozen=True)
class Features:
    """What an encoder makes of a clip or a text.

    ``tokens`` ``[B, N, D]`` with ``mask`` bool ``[B, N]``; ``pooled`` ``[B, D]`` where the module
    has a single vector for the whole (None where only the tokens mean something). ``memory``
    ``[B, K, W]`` is what a generative module writes from; it stays with the worker that made it.
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor | None = None
    memory: Tensor | None = None

    def __len__(self) -> int:
        return self.tokens.shape[0]

    @property
    def vector(self) -> Tensor:
        """The pooled vector ``[B, D]``; a module that scores by tokens does not have one, which is a HarnessError."""
        if self.pooled is None:
            raise HarnessError(
                "these features have no pooled vector",
                "give Features `pooled`, its third argument, or score by tokens in the module's own score()",
            )
        return self.pooled

    def map(self, change) -> Features:
        """Apply ``change`` to every tensor (moving, slicing, concatenating)."""
        pooled, memory = (None if t is None else change(t) for t in (self.pooled, self.memory))
        return Features(change(self.tokens), change(self.mask), pooled, memory)

    def without_memory(self) -> Features:
        return replace(self, memory=None)

    def __getitem__(self, rows) -> Features:
        return self.map(lambda tensor: tensor[rows])


def concatenate(parts: list[Features]) -> Features:
    """Stack features of consecutive batches; token counts may differ and are padded (mask False)."""
    longest = max(part.tokens.shape[1] for part in parts)
    tokens = torch.cat([_pad(part.tokens, longest) for part in parts])
    mask = torch.cat([_pad(part.mask, longest) for part in parts])
    pooled = None if parts[0].pooled is None else torch.cat([part.pooled for part in parts])
    memory = None if parts[0].memory is None else torch.cat([part.memory for part in parts])
    return Features(tokens, mask, pooled, memory)


def _pad(tensor: Tensor, length: int) -> Tensor:
    short = length - tensor.shape[1]
    if short == 0:
        return tensor
    return torch.cat([tensor, tensor.new_zeros((tensor.shape[0], short, *tensor.shape[2:]))], dim=1)
