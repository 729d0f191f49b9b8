"""What CLIP4Clip adds to the harness."""

from __future__ import annotations

from collections.abc import Iterable

from harness import (
    CheckpointFormatSpec,
    MethodSpec,
    OptimizerSpec,
    Options,
    PublishedResultsSpec,
    ScheduleSpec,
    TemporalModuleSpec,
    hookimpl,
)
from harness_clip4clip import options

PAPER = "CLIP4Clip, arXiv 2104.08860"

# Name, the paper's name, options, what it is.
_HEADS: tuple[tuple[str, str, type[Options], str], ...] = (
    (
        "mean_pool",
        "meanP",
        options.LinearPatchOptions,
        "mean of the unit-length frame features; sees no order",
    ),
    (
        "seq_lstm",
        "seqLSTM",
        options.LinearPatchOptions,
        "an LSTM over the frame features before their mean",
    ),
    (
        "seq_transformer",
        "seqTransf",
        options.SeqTransformerOptions,
        "a transformer over the frame features before their mean, started from CLIP's text layers",
    ),
    (
        "tight_transformer",
        "tightTransf",
        options.TightTransformerOptions,
        "a cross-encoder of a text and a clip's frames; scores pair by pair",
    ),
)

# Name, aliases, recipe, what it is.
_METHODS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    (
        "clip4clip_meanp",
        ("clip4clip", "clip4clip_meanP"),
        "meanp",
        "CLIP4Clip with the parameter-free mean-pooling head",
    ),
    ("clip4clip_seqlstm", ("clip4clip_seqLSTM",), "seqlstm", "CLIP4Clip with an LSTM over the frames"),
    (
        "clip4clip_seqtransf",
        ("clip4clip_seqTransf",),
        "seqtransf",
        "CLIP4Clip with a transformer over the frames",
    ),
    (
        "clip4clip_tighttransf",
        ("clip4clip_tightTransf",),
        "tighttransf",
        "CLIP4Clip with a cross-encoder over text and frames",
    ),
)

#: Data sets with a recipe of their own, for all heads.
_DATASETS = ("msrvtt", "msvd", "lsmdc", "activitynet", "didemo")
#: On the embedded data set two heads start with other positions.
_ON_SHAPES = {"seqtransf": "shapes_seqtransf", "tighttransf": "shapes_tighttransf"}
#: What may be laid over every method's recipe by name.
_VARIANTS = ("published", "reference_fp16", "bf16", "fp32", "msrvtt_7k", "post_pretrain")


@hookimpl
def harness_temporal_modules() -> Iterable[TemporalModuleSpec]:
    """The four heads of the paper."""
    for name, alias, schema, summary in _HEADS:
        yield TemporalModuleSpec(
            name=name,
            aliases=(alias,),
            summary=summary,
            factory=f"harness_clip4clip.{name}:build",
            options=schema,
            paper=PAPER,
        )


@hookimpl
def harness_optimizers() -> Iterable[OptimizerSpec]:
    """The reference's update rule."""
    yield OptimizerSpec(
        name="bert_adam",
        aliases=("BertAdam",),
        summary="Adam without bias correction, each tensor's gradient clipped by itself",
        factory="harness_clip4clip.bert_adam:build",
        options=options.BertAdamOptions,
        paper=PAPER,
    )


@hookimpl
def harness_schedules() -> Iterable[ScheduleSpec]:
    """The reference's rates over time."""
    for name in ("warmup_cosine", "warmup_constant", "warmup_linear"):
        yield ScheduleSpec(
            name=name,
            summary=f"BertAdam's {name}: by the share of the steps that are done, from a rate of zero",
            factory=f"harness_clip4clip.bert_adam:{name}",
            options=options.ScheduleOptions,
            paper=PAPER,
        )


@hookimpl
def harness_checkpoint_formats() -> Iterable[CheckpointFormatSpec]:
    """The reference's files."""
    yield CheckpointFormatSpec(
        name="clip4clip",
        aliases=("CLIP4Clip",),
        summary="checkpoints as the reference of CLIP4Clip saves them, for all heads and patch types",
        factory="harness_clip4clip.official_format:build",
        paper=PAPER,
        licence="reference code: MIT",
    )


@hookimpl
def harness_methods() -> Iterable[MethodSpec]:
    """One method per head."""
    for name, aliases, recipe, summary in _METHODS:
        yield MethodSpec(
            name=name,
            aliases=aliases,
            summary=summary,
            recipe=f"harness_clip4clip:recipes/{recipe}.yaml",
            recipes={
                **{name: f"harness_clip4clip:recipes/data/{name}.yaml" for name in _DATASETS},
                "shapes": f"harness_clip4clip:recipes/data/{_ON_SHAPES.get(recipe, 'shapes')}.yaml",
            },
            variants={name: f"harness_clip4clip:recipes/variants/{name}.yaml" for name in _VARIANTS},
            paper=PAPER,
            licence="reference code: MIT",
        )


@hookimpl
def harness_published_results() -> Iterable[PublishedResultsSpec]:
    """The paper's own results."""
    yield PublishedResultsSpec(
        name="clip4clip",
        summary="CLIP4Clip's results on five benchmarks, as published",
        rows="harness_clip4clip:published.yaml",
        paper=PAPER,
    )
