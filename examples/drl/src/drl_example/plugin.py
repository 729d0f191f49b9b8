"""What this distribution adds to the harness. Imports nothing heavy."""

from __future__ import annotations

from harness import MethodSpec, Options, TemporalModuleSpec, hookimpl

HARNESS_API = (1, 1)
PAPER = "Disentangled Representation Learning, arXiv 2203.07111"


class TokenWiseOptions(Options):
    """``weighted``: words and frames are weighed by what they are (WTI), or all count the same (TI)."""

    weighted: bool = True


@hookimpl
def harness_temporal_modules():
    return [
        TemporalModuleSpec(
            name="token_wise",
            summary="each word looks for its frame and each frame for its word; scores pair by pair",
            factory="drl_example.interaction:build",
            options=TokenWiseOptions,
            paper=PAPER,
        )
    ]


@hookimpl
def harness_methods():
    return [
        MethodSpec(
            name="drl_wti",
            aliases=("DRL",),
            summary="CLIP's words and frames, compared one by one and weighed",
            recipe="drl_example:recipes/wti.yaml",
            recipes={"shapes": "harness_clip4clip:recipes/data/shapes.yaml"},
            paper=PAPER,
            licence="Apache-2.0",
        )
    ]
