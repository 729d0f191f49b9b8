"""What CLIP4Clip adds to the harness."""

from harness import MethodSpec, TemporalModuleSpec, hookimpl

PAPER = "CLIP4Clip, arXiv 2104.08860"


@hookimpl
def harness_temporal_modules():
    return [
        TemporalModuleSpec(
            name="mean_pool",
            aliases=("meanP",),
            summary="mean of the unit-length frame features; sees no order",
            factory="harness_clip4clip.mean_pool:build",
            paper=PAPER,
        )
    ]


@hookimpl
def harness_methods():
    return [
        MethodSpec(
            name="clip4clip_meanp",
            aliases=("clip4clip", "clip4clip_meanP"),
            summary="CLIP4Clip with the parameter-free mean-pooling head",
            recipe="harness_clip4clip:recipes/meanp.yaml",
            paper=PAPER,
            licence="reference code: MIT",
        )
    ]
