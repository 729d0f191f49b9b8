"""Symmetric InfoNCE over the global batch (CLIP, CLIP4Clip, CLIP-ViP)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from harness.models import Loss, LossInputs
from harness_standard.plugin import InfoNCEOptions


class InfoNCE(Loss):
    """Softmax cross-entropy of every text against all clips and of every clip against all texts."""

    def __init__(self, options: InfoNCEOptions) -> None:
        super().__init__()
        self.options = options

    def forward(self, inputs: LossInputs) -> Tensor:
        fixed = self.options.temperature
        logits = (1 / fixed if fixed else inputs.logit_scale) * inputs.similarity("text", "video")
        own = torch.arange(len(logits), device=logits.device)
        if self.options.same_clip == "ignore":
            also_right = inputs.positives.clone()
            also_right[own, own] = False
            logits = logits.masked_fill(also_right, float("-inf"))
        texts, clips = functional.cross_entropy(logits, own), functional.cross_entropy(logits.T, own)
        return texts + clips if self.options.reduction == "sum" else (texts + clips) / 2


def build(options: InfoNCEOptions) -> InfoNCE:
    return InfoNCE(options)
