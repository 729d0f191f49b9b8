"""What this distribution adds to the harness. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from harness import MethodSpec, Options, PublishedResultsSpec, TemporalModuleSpec, hookimpl

HARNESS_API = (1, 1)
PAPER = "X-Pool, arXiv 2203.15086"


class XPoolOptions(Options):
    """``heads`` of the attention; ``dropout`` before the last sum. The paper has 1 and 0.3."""

    heads: Annotated[int, Meta(ge=1)] = 1
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.3


@hookimpl
def harness_temporal_modules():
    return [
        TemporalModuleSpec(
            name="text_pooling",
            summary="each text pools the frames that it is about; scores pair by pair",
            factory="harness_xpool.module:build",
            options=XPoolOptions,
            paper=PAPER,
        )
    ]


@hookimpl
def harness_methods():
    own = {name: f"harness_xpool:{name}.yaml" for name in ("msrvtt", "shapes")}
    return [
        MethodSpec(
            name="xpool",
            aliases=("X-Pool",),
            summary="CLIP frames, pooled by attention from the text",
            recipe="harness_xpool:recipe.yaml",
            recipes=own,
            paper=PAPER,
            licence="Apache-2.0",
        )
    ]


@hookimpl
def harness_published_results():
    rows = "harness_xpool:published.yaml"
    return [PublishedResultsSpec(name="xpool", summary="X-Pool's own result", rows=rows, paper=PAPER)]
