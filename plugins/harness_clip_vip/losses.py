"""Omnisource cross-modal learning: CLIP-ViP's losses over four sources (paper, section 4.3).

V is the video, S its own text (``text``: a subtitle in post-pretraining), F its middle frame
(``frame``), C a caption that was generated for F (``caption``). Every term is a sum of directional
cross-entropies over the global batch, as in the reference (``src/optimization/loss.py``), not CLIP's
half-sum. All scores share one learned scale. Rows of the matrices here are texts, columns are pictures.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from harness.models import Loss, LossInputs
from harness_clip_vip.options import OmnisourceOptions


class Omnisource(Loss):
    """A sum of :func:`nce` terms over pairs of sources, and of :func:`pooled_nce` where ``pooled``."""

    def __init__(
        self, options: OmnisourceOptions, pairs: tuple[tuple[str, str], ...], pooled: bool = False
    ) -> None:
        super().__init__()
        self.options = options
        self.pairs = pairs
        self.pooled = pooled

    def forward(self, inputs: LossInputs) -> Tensor:
        terms = [nce(_logits(inputs, text, picture, self.options)) for text, picture in self.pairs]
        if self.pooled:
            subtitles = _logits(inputs, "text", "video", self.options)
            captions = _logits(inputs, "caption", "video", self.options)
            terms.append(pooled_nce(subtitles, captions))
        return torch.stack(terms).sum()


class MixedBatch(Loss):
    """Videos and frames in one batch of pictures, subtitles and captions in one of texts."""

    def __init__(self, options: OmnisourceOptions) -> None:
        super().__init__()
        self.options = options

    def forward(self, inputs: LossInputs) -> Tensor:
        rows = [
            torch.cat([_logits(inputs, text, picture, self.options) for picture in ("video", "frame")], dim=1)
            for text in ("text", "caption")
        ]
        return nce(torch.cat(rows))


class DualSoftmaxNCE(Loss):
    """Each direction's logits times their softmax over the other side, then cross-entropies."""

    def __init__(self, options: OmnisourceOptions) -> None:
        super().__init__()
        self.options = options

    def forward(self, inputs: LossInputs) -> Tensor:
        logits = _logits(inputs, "text", "video", self.options)
        return _directed(_sharpened(logits.T)) + _directed(_sharpened(logits))


def nce(logits: Tensor) -> Tensor:
    """Cross-entropies of texts over pictures and of pictures over texts ``[N, N]``, added up."""
    return _directed(logits) + _directed(logits.T)


def pooled_nce(subtitles: Tensor, captions: Tensor) -> Tensor:
    """The loss between a video and both of its texts; arguments are logits ``[texts N, videos N]``.

    A video chooses its subtitle among itself and all subtitles and captions of other videos, and so
    its caption: its other text is in neither denominator. Each text chooses among the videos as usual.
    """
    lowest = float("-inf")
    own = torch.eye(len(subtitles), dtype=torch.bool, device=subtitles.device)
    others = torch.cat([subtitles.masked_fill(own, lowest), captions.masked_fill(own, lowest)])
    negatives = torch.logsumexp(others, dim=0)
    terms = [_directed(subtitles), _directed(captions)]
    for positives in (subtitles.diagonal(), captions.diagonal()):
        terms.append((torch.logaddexp(positives, negatives) - positives).mean())
    return torch.stack(terms).sum()


def _directed(logits: Tensor) -> Tensor:
    """Of every row over the columns; the right one is on the diagonal."""
    return functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def _sharpened(logits: Tensor) -> Tensor:
    """Where the softmax is zero so is the product, also beside a logit of minus infinity."""
    left_out = torch.isinf(logits)
    weighted = logits.masked_fill(left_out, 0) * logits.softmax(dim=0)
    return weighted.masked_fill(left_out, float("-inf"))


def _logits(inputs: LossInputs, text: str, picture: str, options: OmnisourceOptions) -> Tensor:
    logits = inputs.logit_scale * inputs.similarity(text, picture)
    if options.same_clip == "negative":
        return logits
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    return logits.masked_fill(inputs.positives & ~own, float("-inf"))


def vs_fc(options: OmnisourceOptions) -> Loss:
    return Omnisource(options, (("text", "video"), ("caption", "frame")))


def vs_vc(options: OmnisourceOptions) -> Loss:
    return Omnisource(options, (("text", "video"), ("caption", "video")))


def vs_vc_fc(options: OmnisourceOptions) -> Loss:
    return Omnisource(options, (("text", "video"), ("caption", "video"), ("caption", "frame")))


def vsc(options: OmnisourceOptions) -> Loss:
    return Omnisource(options, (), pooled=True)


def vsc_fc(options: OmnisourceOptions) -> Loss:
    return Omnisource(options, (("caption", "frame"),), pooled=True)


def mixed(options: OmnisourceOptions) -> Loss:
    return MixedBatch(options)


def dual_softmax(options: OmnisourceOptions) -> Loss:
    return DualSoftmaxNCE(options)
