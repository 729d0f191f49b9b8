"""Declares the data set ``tgif``."""

from __future__ import annotations

from harness import DatasetSpec, ProtocolSpec, hookimpl
from harness.data import AnnotatedOptions

HARNESS_API = (1, 1)


@hookimpl
def harness_datasets() -> list[DatasetSpec]:
    """The open-ended questions of TGIF-QA about what a frame shows."""
    return [
        DatasetSpec(
            name="tgif",
            summary="TGIF-QA: animated GIFs of about 3 s, and questions",
            factory="harness_tgif.dataset:build",
            aliases=("TGIF", "tgif-qa", "TGIF-QA"),
            options=AnnotatedOptions,
            sample="harness_tgif.sample:write_sample",
            paper="Jang et al., TGIF-QA: Toward Spatio-Temporal Reasoning in Visual Question Answering, "
            "CVPR 2017",
            licence="free for academic purposes only",
            protocols=(
                ProtocolSpec(
                    name="frameqa",
                    summary="13691 questions about 7132 GIFs, after training on 39392; no validation split",
                    train="frameqa-train",
                    test="frameqa-test",
                    tasks=("video_qa",),
                    query_unit="question",
                    n_queries=13691,
                    n_gallery=7132,
                ),
            ),
        )
    ]
