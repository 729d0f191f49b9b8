"""Captioner: a model that says what is on a picture."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from harness.models.backbone import Preprocess


class Captioner(nn.Module):
    """Makes auxiliary captions for `harness caption`; ``pretraining`` says where its weights come from."""

    pretraining: str
    preprocess: Preprocess

    @abstractmethod
    def caption(self, frames: Tensor) -> list[str]:
        """A sentence for each of the uint8 frames ``[B, 3, H, W]``, which have the size of ``preprocess``.

        An empty one where there is nothing to say. What is said of a frame depends on no other one.
        """
