"""What CLIP-ViP adds to the harness."""

from harness import (
    CheckpointFormatSpec,
    LossSpec,
    MethodSpec,
    OptimizerSpec,
    PublishedResultsSpec,
    ScheduleSpec,
    TemporalModuleSpec,
    hookimpl,
)
from harness_clip_vip import options

PAPER = "CLIP-ViP, ICLR 2023, arXiv 2209.06430"

#: Data sets with a recipe of their own.
_DATASETS = ("shapes", "msrvtt", "didemo", "lsmdc", "activitynet")
#: What may be laid over the recipe by name; on one data set another file has that name.
_VARIANTS = {"b16": "b16", "didemo/b16": "didemo_b16", "post_pretrain": "post_pretrain"}
_ABLATIONS = {
    "structure": "structure",
    "shapes/structure": "structure_shapes",
    "omnisource": "omnisource",
}


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
        ),
        TemporalModuleSpec(
            name="full_attention",
            summary="all patches of all frames see each other; the paper's ablation of its proxies",
            factory="harness_clip_vip.video_proxies:build_full",
            options=options.FullAttentionOptions,
            paper=PAPER,
        ),
    ]


# Name, factory, the reference's class, sources beside the video and its text, what it compares.
_LOSSES: tuple[tuple[str, str, str, tuple[str, ...], str], ...] = (
    (
        "ocl_vs_fc",
        "vs_fc",
        "VidImgDivideNCELearnableTempLoss",
        ("frame", "caption"),
        "video with subtitle, and frame with caption",
    ),
    (
        "ocl_vs_vc",
        "vs_vc",
        "NCELearnableTempLoss_vs_vc",
        ("caption",),
        "video with subtitle, and video with caption",
    ),
    (
        "ocl_vs_vc_fc",
        "vs_vc_fc",
        "NCELearnableTempLoss_vs_vc_fc",
        ("frame", "caption"),
        "video with subtitle, video with caption, and frame with caption",
    ),
    (
        "ocl_vsc",
        "vsc",
        "NCELearnableTempLoss_vsc",
        ("caption",),
        "video with subtitle and caption, whose negatives are pooled",
    ),
    (
        "ocl_vsc_fc",
        "vsc_fc",
        "NCELearnableTempLoss_vsc_fc",
        ("frame", "caption"),
        "video with subtitle and caption pooled, and frame with caption: the paper's post-pretraining",
    ),
    (
        "ocl_mixed",
        "mixed",
        "VidImgNCELearnableTempLoss",
        ("frame", "caption"),
        "videos and frames with subtitles and captions, as one batch of pictures and one of texts",
    ),
    (
        "dual_softmax_nce",
        "dual_softmax",
        "NCELearnableTempDSLLoss",
        (),
        "video with text, each direction sharpened by the other's softmax",
    ),
)


@hookimpl
def harness_losses():
    """Omnisource cross-modal learning and its ablations; the source-wise baseline is `info_nce`."""
    return [
        LossSpec(
            name=name,
            aliases=(reference,),
            summary=summary,
            factory=f"harness_clip_vip.losses:{factory}",
            options=options.OmnisourceOptions,
            sources=("video", "text", *sources),
            paper=PAPER,
        )
        for name, factory, reference, sources, summary in _LOSSES
    ]


@hookimpl
def harness_optimizers():
    """The reference's update rule."""
    return [
        OptimizerSpec(
            name="hf_adamw",
            aliases=("AdamW_HF",),
            summary="AdamW as Hugging Face once had it: decay after the update, at the plain rate",
            factory="harness_clip_vip.hf_adamw:build",
            options=options.HFAdamWOptions,
            paper=PAPER,
        )
    ]


@hookimpl
def harness_schedules():
    """The reference's rates over time."""
    shapes = {
        "cosine": "half a cosine",
        "linear": "a line",
        "invsqrt": "the inverse root of the step",
        "constant": "the base rate from the first step on",
        "multi_step": "halvings",
    }
    return [
        ScheduleSpec(
            name=f"clip_vip_{name}",
            summary=f"CLIP-ViP's {name}: {shape}, counted from the first step, 1e-8 in place of zero",
            factory=f"harness_clip_vip.schedules:{name}",
            options=options.MultiStepOptions if name == "multi_step" else options.ScheduleOptions,
            paper=PAPER,
        )
        for name, shape in shapes.items()
    ]


@hookimpl
def harness_checkpoint_formats():
    """The reference's files."""
    return [
        CheckpointFormatSpec(
            name="clip_vip",
            aliases=("CLIP-ViP",),
            summary="checkpoints as the reference of CLIP-ViP saves them, post-pretrained and fine-tuned",
            factory="harness_clip_vip.official_format:build",
            paper=PAPER,
            licence="reference code: MIT",
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
            recipes={name: f"harness_clip_vip:recipes/data/{name}.yaml" for name in _DATASETS},
            variants={
                name: f"harness_clip_vip:recipes/variants/{file}.yaml" for name, file in _VARIANTS.items()
            },
            ablations={
                name: f"harness_clip_vip:recipes/ablations/{file}.yaml" for name, file in _ABLATIONS.items()
            },
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
