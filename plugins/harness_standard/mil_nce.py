"""MIL-NCE: several texts may describe a clip, and not all of them have to (arXiv 1912.06430)."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.models import Loss, LossInputs
from harness_standard.plugin import MILNCEOptions


def mil_nce(logits: Tensor, own: Tensor) -> Tensor:
    """The mean loss of all clips; ``logits`` ``[texts, clips]``, ``own`` bool, True for a clip's texts.

    A clip is compared with all texts, and its texts with all other clips; its own texts together
    are the answer. Every clip has a text.
    """
    lowest = float("-inf")
    of_texts = torch.logsumexp(logits, dim=0)  # [clips], over all texts
    others = torch.logsumexp(logits.masked_fill(own, lowest), dim=1)  # [texts], over the other clips
    of_clips = torch.logsumexp(others[:, None].masked_fill(~own, lowest), dim=0)
    right = torch.logsumexp(logits.masked_fill(~own, lowest), dim=0)
    return (torch.logaddexp(of_texts, of_clips) - right).mean()


class MILNCE(Loss):
    """:func:`mil_nce` of a batch; a clip that is in it with several captions counts once."""

    def __init__(self, options: MILNCEOptions) -> None:
        super().__init__()
        self.temperature = options.temperature

    def forward(self, inputs: LossInputs) -> Tensor:
        scale = 1 / self.temperature if self.temperature else inputs.logit_scale
        logits = scale * inputs.similarity("text", "video")
        first = inputs.positives.int().argmax(dim=0)  # the first row of each row's clip
        once = first == torch.arange(len(first), device=first.device)
        return mil_nce(logits[:, once], inputs.positives[:, once])


def build(options: MILNCEOptions) -> MILNCE:
    return MILNCE(options)
