"""What CLIP-ViP adds to the harness."""

from harness import MethodSpec, Options, TemporalModuleSpec, hookimpl

PAPER = "CLIP-ViP, ICLR 2023, arXiv 2209.06430"


class VideoProxiesOptions(Options):
    """``proxies`` counts the class token too (the reference's add_cls_num + 1)."""

    proxies: int = 4
    temporal_size: int = 0  # rows of the temporal table; 0: the recipe's frames
    temporal_init_std: float = 0.0  # the reference starts at zero


@hookimpl
def harness_temporal_modules():
    return [
        TemporalModuleSpec(
            name="video_proxies",
            aliases=("ViP",),
            summary="proxy tokens that see all frames while patches see their own frame and the proxies",
            factory="harness_clip_vip.video_proxies:build",
            options=VideoProxiesOptions,
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
