"""Hinge losses of a right and a wrong answer (VSE++; order embeddings)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from harness.models import Loss, LossInputs
from harness_standard.plugin import TripletOptions


def triplet(scores: Tensor, positives: Tensor, margin: float, hardest: bool) -> Tensor:
    """Sum over all queries of how far wrong answers come within ``margin`` of the right one.

    ``scores`` ``[texts, clips]`` with the right ones on the diagonal; ``positives`` bool, those that
    count as no wrong answer. ``hardest`` counts only the nearest wrong answer of each query.
    """
    right = scores.diagonal()
    texts, clips = (
        (margin + scores - own).clamp(min=0).masked_fill(positives, 0)
        for own in (right[:, None], right[None, :])
    )
    if hardest:
        return texts.amax(dim=1).sum() + clips.amax(dim=0).sum()
    return texts.sum() + clips.sum()


def order(texts: Tensor, clips: Tensor) -> Tensor:
    """Minus the length of the part in which a text's unit vector exceeds a clip's ``[texts, clips]``."""
    return -torch.linalg.vector_norm((texts[:, None] - clips[None]).clamp(min=0), dim=2)


class Triplet(Loss):
    """:func:`triplet` of a batch, by cosine or :func:`order`."""

    def __init__(self, options: TripletOptions) -> None:
        super().__init__()
        self.options = options

    def forward(self, inputs: LossInputs) -> Tensor:
        if self.options.measure == "cosine":
            scores = inputs.similarity("text", "video")
        else:
            both = (inputs.features[source].vector for source in ("text", "video"))
            scores = order(*(functional.normalize(vectors, dim=-1) for vectors in both))
        return triplet(scores, inputs.positives, self.options.margin, self.options.hardest)


def build(options: TripletOptions) -> Triplet:
    return Triplet(options)
