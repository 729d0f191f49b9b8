"""What CLIP-ViP adds to the harness."""

from harness import MethodSpec, PublishedResultsSpec, TemporalModuleSpec, hookimpl
from harness_clip_vip import options

PAPER = "CLIP-ViP, ICLR 2023, arXiv 2209.06430"


@hookimpl
def harness_temporal_modules():
    return [
        TemporalModuleSpec(
            name="video_proxies",
            aliases=("ViP",),
            summary="proxy tokens that see all frames while patches see their own frame and the proxies",
            factory="harness_clip_vip.video_proxies:build",
            options=options.VideoProxiesOptions,
            paper=PAPER,
        )
    ]


@hookimpl
def harness_methods():
    return [
        MethodSpec(
            name="clip_vip",
            aliases=("CLIP-ViP",),
            summary="CLIP with video proxies and proxy-guided attention in every block",
            recipe="harness_clip_vip:recipes/base.yaml",
            recipes={"shapes": "harness_clip_vip:recipes/shapes.yaml"},
            paper=PAPER,
            licence="reference code: MIT",
        )
    ]


@hookimpl
def harness_published_results():
    return [
        PublishedResultsSpec(
            name="clip_vip",
            summary="CLIP-ViP's results on four benchmarks, as published",
            rows="harness_clip_vip:published.yaml",
            paper=PAPER,
        )
    ]
