"""What a model that writes has to offer, and how its most likely text is found.

A :class:`GenerativeModule` is a temporal module that can also say something about a clip. It turns a
clip into a memory once; texts are then predicted or written against it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import HarnessError
from harness.models.backbone import Backbone, Tokenizer
from harness.models.batch import Encoding, Features, TextBatch, VideoBatch
from harness.models.temporal import TemporalModule


class Decoding(ABC):
    """Texts that are being written, one row each; row ``r`` is about clip ``r // width``.

    The start token stands already. A row that has ended may be fed anything.
    """

    @abstractmethod
    def logits(self) -> Tensor:
        """Of the next token of every row, ``[R, V]``."""

    @abstractmethod
    def append(self, tokens: Tensor, rows: Tensor | None = None) -> None:
        """Go on with ``tokens [R]``, row ``i`` from what was row ``rows[i]`` (None: itself), which is
        about the same clip."""


class GenerativeModule(TemporalModule):
    """A temporal module that writes; a method with it may offer ``generate``.

    ``writes`` is the tokenizer of what is read and written beside the clip, one of ``tokenizers``; it
    has a vocabulary.
    """

    writes: Tokenizer

    @abstractmethod
    def encode_with_memory(self, backbone: Backbone, video: VideoBatch) -> Features:
        """As :meth:`encode`, and with ``memory [B, K, W]``, what texts are predicted against."""

    @abstractmethod
    def predict(
        self,
        memory: Tensor,
        text: Encoding,
        chosen: Tensor,
        *,
        causal: bool,
        prompt: Encoding | None = None,
    ) -> Tensor:
        """Logits ``[n, V]`` of the ``n`` positions that ``chosen`` (bool ``[B, L]``) marks in ``text``.

        With ``causal`` a token sees no later one. A ``prompt`` is seen by the whole text.
        """

    @abstractmethod
    def start(
        self, memory: Tensor, prompt: Encoding | None = None, width: int = 1, cache: str = "all"
    ) -> Decoding:
        """Begin ``width`` texts about each clip of ``memory [B, K, W]``, for as many rows of ``prompt``.

        ``cache`` says what is kept from one token to the next: ``nothing``, the ``memory``'s keys and
        values, or ``all``, the text's too. It changes no result.
        """


@dataclass(frozen=True)
class Writer:
    """A generative module before the clips of a worker's share of a batch, for a loss."""

    module: GenerativeModule
    memory: Tensor
    precision: Callable

    def encoding(self, texts: TextBatch) -> Encoding:
        """Texts as the module reads them, no longer than the longest of them."""
        encoding = texts.encoding(self.module.writes.name)
        length = int(encoding.mask.sum(dim=1).max())
        return Encoding(encoding.tokens[:, :length], encoding.mask[:, :length])

    def predict(
        self, text: Encoding, chosen: Tensor, *, causal: bool, prompt: Encoding | None = None
    ) -> Tensor:
        """Logits of the chosen positions, at least in single precision."""
        with self.precision():
            logits = self.module.predict(self.memory, text, chosen, causal=causal, prompt=prompt)
        return logits if logits.dtype == torch.float64 else logits.float()


def beam_search(
    decoding: Decoding, clips: int, beams: int, length: int, end: int, length_penalty: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The best text of each of ``clips`` and its score: ids ``[clips, length]`` and ``[clips]``.

    A hypothesis scores the sum of its log probabilities. One that has ended keeps its score and its
    place among the ``beams``; each other offers its ``beams`` most likely continuations; the best of all
    go on. In the end that of the highest score over ``length ** length_penalty`` wins, where the end
    token counts and the start token does not. What follows the end token is filled with it. ``decoding``
    has ``clips * beams`` rows; one beam is greedy search. Raises HarnessError where the model's words have
    probabilities that are no numbers.
    """
    logits = decoding.logits()
    device = logits.device
    ids = torch.empty(clips, beams, 0, dtype=torch.long, device=device)
    ended = torch.zeros(clips, beams, dtype=torch.bool, device=device)
    # All beams are the same at first, so only one of them offers anything.
    scores = torch.full((clips, beams), -torch.inf, device=device)
    scores[:, 0] = 0
    for _ in range(length):
        log = logits.float().log_softmax(dim=-1).unflatten(0, (clips, beams))
        best, tokens = log.topk(min(beams, log.shape[-1]), dim=-1)
        # An ended hypothesis offers itself, once.
        itself = torch.full_like(best, -torch.inf)
        itself[..., 0] = 0
        best = torch.where(ended[..., None], itself, best)
        tokens = torch.where(ended[..., None], end, tokens)
        offered = (scores[..., None] + best).flatten(1)
        scores, places = offered.topk(beams, dim=1)
        parents = places // best.shape[-1]
        tokens = tokens.flatten(1).gather(1, places)
        ids = torch.cat([ids.gather(1, parents[..., None].expand_as(ids)), tokens[..., None]], dim=2)
        ended = ended.gather(1, parents) | (tokens == end)
        if bool((ended | scores.isinf()).all()) or ids.shape[2] == length:
            break
        first = torch.arange(clips, device=device)[:, None] * beams
        decoding.append(tokens.flatten(), (first + parents).flatten())
        logits = decoding.logits()
    lengths = ((ids != end).sum(dim=2) + 1).clamp(max=ids.shape[2])
    final, chosen = (scores / lengths.to(scores.dtype) ** length_penalty).max(dim=1)
    _refuse_nan(final)
    found = ids.gather(1, chosen[:, None, None].expand(-1, -1, ids.shape[2]))[:, 0]
    short = length - found.shape[1]
    return torch.cat([found, found.new_full((clips, short), end)], dim=1), final


def forced_scores(decoding: Decoding, ids: Tensor, mask: Tensor) -> Tensor:
    """The sum of log probabilities ``[R]`` of given texts ``[R, L]``, start token left out, end included.

    Raises HarnessError where one is no number.
    """
    total = torch.zeros(len(ids), device=ids.device)
    for place in range(ids.shape[1]):
        log = decoding.logits().float().log_softmax(dim=-1)
        said = log.gather(1, ids[:, place : place + 1])[:, 0]
        total = total + torch.where(mask[:, place], said, 0.0)
        if place + 1 < ids.shape[1]:
            decoding.append(ids[:, place])
    _refuse_nan(total)
    return total


def _refuse_nan(scores: Tensor) -> None:
    """Of scores ``[n]`` a NaN is the greatest to every search, and would choose what is written."""
    spoilt = int(scores.isnan().sum())
    if spoilt:
        raise HarnessError(
            f"the probabilities of the words of {spoilt} of {len(scores)} texts are no numbers",
            "look at the last losses in the run's log, and for weights that are no numbers in its model",
        )


def said(ids: Sequence[int], tokenizer: Tokenizer) -> str:
    """The text of written ids, up to the end token."""
    words = tokenizer.vocabulary
    assert words is not None
    listed = list(ids)
    return words.decode(listed[: listed.index(words.end)] if words.end in listed else listed)
