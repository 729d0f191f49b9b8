"""CheckpointFormat: a layout of weights files that a plugin can read and write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor

from harness.models.backbone import Backbone
from harness.models.temporal import TemporalModule


class CheckpointFormat(ABC):
    """Other people's names for the tensors of a model. Everything is read strictly or not at all.

    Tensors come bare: out of their container and without a wrapper's prefix, as
    :func:`harness.models.files.read_tensors` returns them.
    """

    @abstractmethod
    def claims(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether a file with these keys is of this format. Two formats must not claim one file."""

    @abstractmethod
    def load(
        self, backbone: Backbone, temporal: TemporalModule, tensors: Mapping[str, Tensor], source: str
    ) -> None:
        """Fill a model; number types are converted to the model's. ``source`` is what errors call the file.

        Raises :class:`HarnessError`, before anything is changed, that names what differs: another
        architecture, and every tensor that is missing, unexpected or of another shape.
        """

    @abstractmethod
    def export(self, backbone: Backbone, temporal: TemporalModule) -> dict[str, Tensor]:
        """The whole model under this format's names, in its own number types.

        Raises :class:`HarnessError` for a model that the format has no place for.
        """
