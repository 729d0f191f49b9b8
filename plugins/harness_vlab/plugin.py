"""Declares VLAB: the module, its losses, three sizes of the method, and what was published of it."""

from __future__ import annotations

from harness import LossSpec, MethodSpec, Options, PublishedResultsSpec, TemporalModuleSpec, hookimpl
from harness_vlab.options import (
    AllTasksOptions,
    UniLMOptions,
    VlabLossOptions,
    VlabOptions,
    VlabStageOptions,
)

HARNESS_API = (1, 1)

_PAPER = "VLAB, arXiv 2305.13167; IEEE Transactions on Multimedia 27 (2025)"
_RECIPES = "harness_vlab:recipes/"
_TASKS = {task: f"{_RECIPES}tasks/{task}.yaml" for task in ("captioning", "video_qa")}
_TINY_TASKS = _TASKS | {f"shapes/{task}": f"{_RECIPES}tasks/{task}_shapes.yaml" for task in _TASKS}

#: An encoder that is made and run in milliseconds.
_SMALL = {
    "adapter_width": 8,
    "hidden_size": 24,
    "heads": 3,
    "layers": 2,
    "intermediate_size": 32,
    "positions": 32,
    "image_backbone": {"name": "tiny"},
    "bert": "",
    "vocabulary": f"{_RECIPES}tiny_vocab.txt",
}


@hookimpl
def harness_temporal_modules() -> list[TemporalModuleSpec]:
    return [
        TemporalModuleSpec(
            name="vlab",
            summary="video adapters, and a multimodal encoder before image and video features",
            factory="harness_vlab.module:build",
            options=VlabOptions,
            small=_SMALL,
            stage_options=VlabStageOptions,
            files=("bert", "vocabulary"),
            paper=_PAPER,
        )
    ]


@hookimpl
def harness_losses() -> list[LossSpec]:
    pictures = ("video",)

    def loss(
        name: str, summary: str, factory: str, options: type[Options], *texts: str, encoded: bool
    ) -> LossSpec:
        features = ("video", "text") if encoded else pictures
        return LossSpec(
            name=name,
            summary=summary,
            factory=f"harness_vlab.losses:{factory}",
            options=options,
            sources=("video", *texts),
            features=features,
            generates=True,
            paper=_PAPER,
        )

    return [
        loss(
            "vlab",
            "contrast, masked words and masked words from before",
            "build",
            VlabLossOptions,
            "text",
            encoded=True,
        ),
        loss(
            "vlab_all_tasks",
            "as vlab, and answers to questions",
            "build_all_tasks",
            AllTasksOptions,
            "text",
            "question",
            "answer",
            encoded=True,
        ),
        loss(
            "uni_lm",
            "masked words of captions, seen from before",
            "build_uni_lm",
            UniLMOptions,
            "text",
            encoded=False,
        ),
        loss(
            "answer",
            "answers to questions, word by word",
            "build_answer",
            Options,
            "question",
            "answer",
            encoded=False,
        ),
    ]


@hookimpl
def harness_methods() -> list[MethodSpec]:
    offers = ("score", "generate")
    return [
        MethodSpec(
            name="vlab_l",
            summary="VLAB on CLIP ViT-L/14, 0.9 B parameters",
            aliases=("VLAB-L", "vlab", "VLAB"),
            recipe=f"{_RECIPES}vlab_l.yaml",
            tasks=_TASKS,
            variants={"pretrain": f"{_RECIPES}variants/pretrain.yaml"},
            ablations={"blending": f"{_RECIPES}ablations/blending.yaml"},
            offers=offers,
            paper=_PAPER,
        ),
        MethodSpec(
            name="vlab_g",
            summary="VLAB with EVA-g/14 for the video and CLIP ViT-L/14 for the images, 1.6 B parameters",
            aliases=("VLAB-G",),
            recipe=f"{_RECIPES}vlab_g.yaml",
            tasks=_TASKS,
            variants={"pretrain": f"{_RECIPES}variants/pretrain.yaml"},
            ablations={"blending": f"{_RECIPES}ablations/blending.yaml"},
            offers=offers,
            paper=_PAPER,
        ),
        MethodSpec(
            name="vlab_tiny",
            summary="VLAB on tiny_clip, all four stages in minutes on a processor",
            recipe=f"{_RECIPES}vlab_tiny.yaml",
            recipes={"shapes": f"{_RECIPES}data/shapes.yaml"},
            tasks=_TINY_TASKS,
            variants={"all_tasks": f"{_RECIPES}variants/all_tasks.yaml"},
            ablations={
                "blending": f"{_RECIPES}ablations/blending.yaml",
                "stages": f"{_RECIPES}ablations/stages_tiny.yaml",
            },
            offers=offers,
            paper=_PAPER,
        ),
    ]


@hookimpl
def harness_published_results() -> list[PublishedResultsSpec]:
    return [
        PublishedResultsSpec(
            name="vlab",
            summary="VLAB-G's retrieval, captioning and question answering, as published",
            rows="harness_vlab:published.yaml",
            paper=_PAPER,
        )
    ]
