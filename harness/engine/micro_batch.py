"""The gradient of a large batch in the memory of a small one, without changing it.

A contrastive loss needs the features of the whole batch at once, and nothing else of it. So they are
made first, a few samples at a time and without a graph; the loss gives the gradient of every feature;
then each few samples are encoded again, with a graph, and given their part of it (gradient caching:
Gao et al., arXiv 2101.06983). Random draws of the first encoding are repeated in the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from harness.models import Features, TextBatch, VideoBatch
from harness.models.batch import concatenate

Source = VideoBatch | TextBatch
Encode = Callable[[Source], Features]


@dataclass(frozen=True)
class Encoded:
    """Features of all sources of a batch; :meth:`backward`, after that of the loss, takes the
    gradient from them to the parameters, where the loss did not do so itself."""

    features: dict[str, Features]
    _rest: list[Callable[[], None]] = field(default_factory=list)

    def backward(self) -> None:
        for finish in self._rest:
            finish()


def encoded(encode: Encode, sources: Mapping[str, Source], rows: int, device: torch.device) -> Encoded:
    """Encode all sources, with a graph where ``rows`` is 0 and else ``rows`` samples at a time."""
    if not rows:
        return Encoded({name: encode(source) for name, source in sources.items()})
    result = Encoded({})
    for name, source in sources.items():
        parts = [_Part(source[slice(start, start + rows)]) for start in range(0, len(source), rows)]
        with torch.no_grad():
            made = [part.first(encode, device) for part in parts]
        leaf = concatenate(made).map(_as_leaf)
        result.features[name] = leaf
        result._rest.append(lambda parts=parts, leaf=leaf: _send_back(encode, parts, leaf, device))
    return result


def score_in_tiles(
    score: Callable[[Features, Features], Tensor], texts: Features, clips: Features, side: int
) -> Tensor:
    """``score(texts, clips)`` ``[texts, clips]``, of which no more than ``side`` by ``side`` pairs keep
    what their backward pass needs at any time; it is computed again there."""
    rows = []
    for row in _slices(len(texts), side):
        tiles = [_tile(score, texts[row], clips[column]) for column in _slices(len(clips), side)]
        rows.append(torch.cat(tiles, dim=1))
    return torch.cat(rows)


class _Part:
    """A few samples, and the state of the random numbers that they were first encoded with."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._state: list[Tensor] = []

    def first(self, encode: Encode, device: torch.device) -> Features:
        self._state = [torch.get_rng_state()]
        if device.type == "cuda":
            self._state.append(torch.cuda.get_rng_state(device))
        return encode(self.source)

    def again(self, encode: Encode, device: torch.device) -> Features:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.set_rng_state(self._state[0])
            if device.type == "cuda":
                torch.cuda.set_rng_state(self._state[1], device)
            return encode(self.source)


def _send_back(encode: Encode, parts: list[_Part], leaf: Features, device: torch.device) -> None:
    start = 0
    for part in parts:
        stop = start + len(part.source)
        if any(tensor.grad is not None for tensor in _values(leaf)):
            made = part.again(encode, device)
            pairs = [
                # Features of fewer tokens were padded beside longer ones.
                (own, whole.grad[start:stop, : own.shape[1]])
                for own, whole in zip(_values(made), _values(leaf), strict=True)
                if whole.grad is not None and own.requires_grad
            ]
            if pairs:
                torch.autograd.backward([own for own, _ in pairs], [grad for _, grad in pairs])
        start = stop


def _values(features: Features) -> Iterator[Tensor]:
    yield features.tokens
    for tensor in (features.pooled, features.memory):
        if tensor is not None:
            yield tensor


def _as_leaf(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    return tensor.requires_grad_() if tensor.is_floating_point() else tensor


def _tile(score: Callable[[Features, Features], Tensor], texts: Features, clips: Features) -> Tensor:
    # Tensors one by one: that is where checkpoint looks for the devices whose random numbers to keep.
    def again(*parts: Tensor | None) -> Tensor:
        return score(Features(*parts[:3]), Features(*parts[3:]))

    sides = (texts.tokens, texts.mask, texts.pooled, clips.tokens, clips.mask, clips.pooled)
    return checkpoint(again, *sides, use_reentrant=False)


def _slices(count: int, side: int) -> list[slice]:
    return [slice(start, start + side) for start in range(0, count, side)]
