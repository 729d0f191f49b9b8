"""The reference's checkpoints, such as ``pretrain_clipvip_base_32.pt``: a flat state dict.

Its keys are those of Hugging Face's CLIP under ``clipmodel.``, with ``added_cls`` and
``temporal_embedding`` beside the class embedding (``src/modeling/CLIP_ViP.py``).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from harness import HarnessError, Options
from harness.models import (
    Backbone,
    CheckpointFormat,
    TemporalModule,
    differences,
    from_huggingface,
    to_huggingface,
)
from harness_clip_vip.video_proxies import VideoProxies, resampled

_PREFIX = "clipmodel."
_ADDED = "vision_model.embeddings.added_cls"
_TEMPORAL = "vision_model.embeddings.temporal_embedding"


class OfficialFormat(CheckpointFormat):
    """Single precision, strict; another number of proxies or of temporal rows is refused unless the
    module's ``resize_on_import`` asks for the change."""

    def claims(self, tensors: Mapping[str, Tensor]) -> bool:
        """By the added proxies; the reference has the key with a single proxy too."""
        return _PREFIX + _ADDED in tensors or _ADDED in tensors

    def load(
        self, backbone: Backbone, temporal: TemporalModule, tensors: Mapping[str, Tensor], source: str
    ) -> None:
        own = self.export(backbone, temporal)
        found = {
            _PREFIX + key.removeprefix(_PREFIX): value.float()
            for key, value in tensors.items()
            if not key.endswith(".position_ids")
        }
        if temporal.resize_on_import:
            _resize(found, own)
        _check_sizes(found, own, source)
        if problems := differences(found, own):
            raise HarnessError(
                f"{source} does not fit this model on {backbone.name}: {problems}",
                "name the backbone that it was trained with, such as --backbone ViT-B-16-quickgelu",
            )
        bare = {key.removeprefix(_PREFIX): value for key, value in found.items()}
        state = {"added": bare.pop(_ADDED)}
        if _TEMPORAL in bare:
            state["temporal"] = bare.pop(_TEMPORAL)[0]
        prefix = _clip_prefix(backbone)
        clip = {f"{prefix}{key}": value for key, value in from_huggingface(bare).items()}
        backbone.load_state_dict(clip, strict=True)
        temporal.load_state_dict(state, strict=True)

    def export(self, backbone: Backbone, temporal: TemporalModule) -> dict[str, Tensor]:
        if not isinstance(temporal, VideoProxies) or not temporal.restricted:
            raise HarnessError(
                "the official format holds video proxies and their attention, and this model has others",
                "choose the temporal module video_proxies",
            )
        _check_activation(backbone)
        named = to_huggingface(backbone.weights())
        unknown = [key for key in named if not key.startswith(("text_", "vision_", "visual_", "logit_scale"))]
        if unknown:
            raise HarnessError(
                f"the official format has no place for {unknown[0]} of {backbone.name}",
                "choose a ViT of CLIP, such as ViT-B-32-quickgelu",
            )
        named[_ADDED] = temporal.added
        if temporal.temporal is not None:
            named[_TEMPORAL] = temporal.temporal[None]
        return {_PREFIX + key: value.detach().float() for key, value in named.items()}


def _clip_prefix(backbone: Backbone) -> str:
    """What stands before the names of the CLIP's own tensors in the state of its backbone."""
    (name,) = [key for key in backbone.state_dict() if key.endswith("visual.class_embedding")]
    return name.removesuffix("visual.class_embedding")


def _resize(found: dict[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Make proxies and temporal table of a file as many as the model has."""
    added, temporal = _PREFIX + _ADDED, _PREFIX + _TEMPORAL
    if added in found and found[added].shape[1:] == own[added].shape[1:]:
        kept = found[added][: len(own[added])]
        found[added] = torch.cat([kept, own[added][len(kept) :].to(kept.dtype)])
    if temporal in found and temporal in own:
        found[temporal] = resampled(found[temporal][0], own[temporal].shape[1])[None]
    elif temporal not in own:
        found.pop(temporal, None)


def _check_sizes(found: Mapping[str, Tensor], own: Mapping[str, Tensor], source: str) -> None:
    """Refuse what could be meant, with the two ways to have it."""
    for key, axis, what, option, more in (
        (_ADDED, 0, "proxies", "proxies", 1),
        (_TEMPORAL, 1, "rows of the temporal table", "temporal_size", 0),
    ):
        theirs, ours = found.get(_PREFIX + key), own.get(_PREFIX + key)
        if theirs is None or ours is None:
            continue
        held, wanted = theirs.shape[axis] + more, ours.shape[axis] + more
        if held != wanted:
            raise HarnessError(
                f"{source} has {held} {what}, and this model has {wanted}",
                f"--set model.temporal.{option}={held}, or --set model.temporal.resize_on_import=true "
                "to start from what fits",
            )


def _check_activation(backbone: Backbone) -> None:
    """No file says its activation. CLIP-ViP computes with QuickGELU; with GELU the same weights run and
    are quietly worse."""
    one = torch.ones(())
    if not torch.allclose(backbone.text.activation(one), torch.sigmoid(1.702 * one), atol=1e-4):
        raise HarnessError(
            f"the official format's CLIP has QuickGELU, and {backbone.name} has not",
            "choose its QuickGELU form, such as --backbone ViT-B-32-quickgelu",
        )


def build(options: Options) -> OfficialFormat:
    return OfficialFormat()
