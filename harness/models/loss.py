"""Loss: a training objective over the global batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from harness.models.batch import Batch, Features
from harness.models.generation import Writer


@dataclass(frozen=True)
class LossInputs:
    """What an objective sees: the same values on every worker, so every worker gets one loss.

    ``features`` are named by source and gathered over all workers with gradient, in the order of
    the global batch. ``similarity(text, video)`` gives the scores ``[N, N]`` of two sources
    before the logit scale. ``positives`` bool ``[N, N]`` marks every text-clip pair that belongs
    together, so captions of one clip need not be each other's negatives. ``batch`` is this
    worker's own share of the samples, for terms that are sums over them; ``total`` adds such a
    sum over the workers, with gradient. ``writer`` predicts texts about the clips of that share, where
    the loss's spec says that it ``generates``.
    """

    features: Mapping[str, Features]
    positives: Tensor
    logit_scale: Tensor
    similarity: Callable[[str, str], Tensor]
    batch: Batch
    total: Callable[[Tensor], Tensor]
    writer: Writer | None = None


class Loss(nn.Module):
    """A scalar of the global batch. May hold parameters; they are trained like the model's."""

    @abstractmethod
    def forward(self, inputs: LossInputs) -> Tensor:
        """The loss, a scalar that is the same on every worker."""
