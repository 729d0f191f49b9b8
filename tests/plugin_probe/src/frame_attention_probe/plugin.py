"""What this distribution adds to the harness. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from harness import MethodSpec, Options, TemporalModuleSpec, hookimpl

HARNESS_API = (1, 1)


class FrameAttentionOptions(Options):
    """``heads`` pool independently and are averaged; ``position_std`` is that of new positions."""

    heads: Annotated[int, Meta(ge=1)] = 2
    position_std: Annotated[float, Meta(ge=0)] = 0.3


@hookimpl
def harness_temporal_modules():
    return [
        TemporalModuleSpec(
            name="frame_attention",
            summary="attention pooling over frames, with learned positions",
            factory="frame_attention_probe.pooling:build",
            options=FrameAttentionOptions,
        )
    ]


@hookimpl
def harness_methods():
    return [
        MethodSpec(
            name="frame_attention_probe",
            aliases=("probe",),
            summary="CLIP frames, pooled by learned attention",
            recipe="frame_attention_probe:recipes/probe.yaml",
            licence="Apache-2.0",
        )
    ]
