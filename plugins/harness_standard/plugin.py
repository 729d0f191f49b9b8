"""The parts that most methods share, declared like anybody's."""

from typing import Annotated, Literal

from msgspec import Meta

from harness import LossSpec, OptimizerSpec, Options, PostprocessorSpec, ScheduleSpec, TaskSpec, hookimpl
from harness_standard.writing_options import CaptioningOptions, VideoQAOptions


class InfoNCEOptions(Options):
    """``same_clip``: whether another caption of one's own clip counts as a negative."""

    same_clip: Literal["ignore", "negative"] = "ignore"
    reduction: Literal["mean", "sum"] = "mean"  # of the two directions; CLIP-ViP's code sums
    temperature: Annotated[float, Meta(ge=0)] = 0.0  # divides the similarities; 0: the model's scale


class HardNegativeOptions(Options):
    """``negatives`` is how many of the nearest wrong answers are kept."""

    negatives: Annotated[int, Meta(ge=1)] = 1


class TripletOptions(Options):
    """``measure``: cosine, or the order violation between two vectors; ``hardest``: count only the
    nearest wrong answer of each query."""

    margin: Annotated[float, Meta(ge=0)] = 0.2
    measure: Literal["cosine", "order"] = "cosine"
    hardest: bool = False


class MILNCEOptions(Options):
    """``temperature`` divides the similarities; 0 takes the model's logit scale."""

    temperature: Annotated[float, Meta(ge=0)] = 0.0


class ScheduleOptions(Options):
    """``warmup`` is the share of the steps over which the rate rises in a line."""

    warmup: Annotated[float, Meta(ge=0, le=1)] = 0.1


_Beta = Annotated[float, Meta(ge=0, lt=1)]


class AdamWOptions(Options):
    betas: tuple[_Beta, _Beta] = (0.9, 0.98)
    eps: Annotated[float, Meta(ge=0)] = 1e-6


class DualSoftmaxOptions(Options):
    """``temperature`` multiplies the scores inside the softmax (CAMoE and CLIP-ViP use 100).

    ``scope`` is over how many queries the softmax runs: the whole test set, as published results do,
    or consecutive blocks of so many queries in their order.
    """

    temperature: Annotated[float, Meta(gt=0)] = 100.0
    axis: Literal["own", "texts"] = "own"
    scope: Literal["test_set"] | Annotated[int, Meta(ge=2)] = "test_set"


@hookimpl
def harness_losses():
    return [
        LossSpec(
            name="info_nce",
            aliases=("symmetric_info_nce", "NCELearnableTempLoss", "NCEContrastiveLoss"),
            summary="symmetric InfoNCE over the global batch, learnable temperature",
            factory="harness_standard.info_nce:build",
            options=InfoNCEOptions,
        ),
        LossSpec(
            name="mil_nce",
            aliases=("MILNCELoss", "MILNCEContrastiveLoss"),
            summary="a clip against all texts and its texts against all clips; any of its texts may be right",
            factory="harness_standard.mil_nce:build",
            options=MILNCEOptions,
            paper="MIL-NCE, arXiv 1912.06430",
        ),
        LossSpec(
            name="hard_negative",
            aliases=("HardNegLoss",),
            summary="cross-entropy of the right answer among the nearest wrong ones, without temperature",
            factory="harness_standard.hard_negative:build",
            options=HardNegativeOptions,
        ),
        LossSpec(
            name="triplet",
            aliases=("TripletContrastiveLoss",),
            summary="hinge loss with a margin, over all wrong answers or the nearest one",
            factory="harness_standard.triplet:build",
            options=TripletOptions,
            paper="VSE++, arXiv 1707.05612; order embeddings, arXiv 1511.06361",
        ),
    ]


@hookimpl
def harness_schedules():
    return [
        ScheduleSpec(
            name=name,
            summary=f"a line up to the base rate, then {after}",
            factory=f"harness_standard.schedules:{name}",
            options=ScheduleOptions,
        )
        for name, after in (
            ("cosine", "half a cosine to zero"),
            ("linear", "a line to zero"),
            ("constant", "the base rate"),
        )
    ]


@hookimpl
def harness_optimizers():
    return [
        OptimizerSpec(
            name="adamw",
            aliases=("AdamW",),
            summary="AdamW with decoupled weight decay, as in torch",
            factory="harness_standard.adamw:build",
            options=AdamWOptions,
        )
    ]


@hookimpl
def harness_postprocessors():
    return [
        PostprocessorSpec(
            name="none",
            summary="scores as the model gives them",
            factory="harness_standard.postprocess:none",
        ),
        PostprocessorSpec(
            name="dual_softmax",
            aliases=("dsl", "DSL"),
            summary="scores times their softmax over all queries of the test set, or over blocks of them",
            factory="harness_standard.postprocess:dual_softmax",
            options=DualSoftmaxOptions,
            paper="CAMoE, arXiv 2109.04290",
        ),
    ]


@hookimpl
def harness_tasks():
    return [
        TaskSpec(
            name="retrieval",
            summary="text-to-video and video-to-text ranks: R@1/5/10, MdR, MnR",
            factory="harness_standard.retrieval:build",
            needs=("score",),
        ),
        TaskSpec(
            name="captioning",
            aliases=("cap",),
            summary="a sentence for each clip: BLEU, METEOR, ROUGE-L, CIDEr",
            factory="harness_standard.captioning:build",
            options=CaptioningOptions,
            needs=("generate",),
            audit="harness_standard.caption_metrics.evidence:figures",
        ),
        TaskSpec(
            name="video_qa",
            aliases=("qa", "vqa"),
            summary="an answer to each question about a clip: accuracy over all questions",
            factory="harness_standard.video_qa:build",
            options=VideoQAOptions,
            needs=("generate",),
            audit="harness_standard.answers:accuracies",
        ),
    ]
