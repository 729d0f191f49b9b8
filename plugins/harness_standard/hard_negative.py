"""The right answer among the nearest wrong ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from harness.models import Loss, LossInputs
from harness_standard.plugin import HardNegativeOptions


class HardNegative(Loss):
    """Cross-entropy over the right answer and the highest scores of wrong ones, in both directions.

    Scores are similarities as they are, without a scale. Another caption of one's own clip is no wrong
    answer.
    """

    def __init__(self, options: HardNegativeOptions) -> None:
        super().__init__()
        self.negatives = options.negatives

    def forward(self, inputs: LossInputs) -> Tensor:
        scores = inputs.similarity("text", "video")
        return self._directed(scores, inputs.positives) + self._directed(scores.T, inputs.positives.T)

    def _directed(self, scores: Tensor, positives: Tensor) -> Tensor:
        wrong = scores.masked_fill(positives, float("-inf"))
        nearest = wrong.topk(min(self.negatives, len(scores) - 1), dim=1).values
        candidates = torch.cat([scores.diagonal()[:, None], nearest], dim=1)
        return functional.cross_entropy(candidates, candidates.new_zeros(len(scores), dtype=torch.long))


def build(options: HardNegativeOptions) -> HardNegative:
    return HardNegative(options)
