"""The reference's checkpoints as a format that `--init-from` reads and `harness export` writes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from harness import Options
from harness.models import Backbone, CheckpointFormat, TemporalModule
from harness_clip4clip import official


class OfficialFormat(CheckpointFormat):
    """``pytorch_model.bin.N`` of https://github.com/ArrowLuo/CLIP4Clip: a bare state dict."""

    def claims(self, tensors: Mapping[str, Tensor]) -> bool:
        """The reference has its CLIP under ``clip.``. What lacks that prefix is a CLIP alone, and
        with ``clip.text.`` open_clip keeps the text tower of models that the reference does not have."""
        return "clip.visual.conv1.weight" in tensors and not any(k.startswith("clip.text.") for k in tensors)

    def load(
        self, backbone: Backbone, temporal: TemporalModule, tensors: Mapping[str, Tensor], source: str
    ) -> None:
        official.load(backbone, temporal, tensors, source)

    def export(self, backbone: Backbone, temporal: TemporalModule) -> dict[str, Tensor]:
        return official.export(backbone, temporal)


def build(options: Options) -> OfficialFormat:
    return OfficialFormat()
