"""Declares the data set ``msvd``."""

from __future__ import annotations

from harness import DatasetSpec, ProtocolSpec, hookimpl
from harness.data import AnnotatedOptions

HARNESS_API = (1, 1)


@hookimpl
def harness_datasets() -> list[DatasetSpec]:
    """One split for retrieval and captions, in use since collaborative-experts; another for questions.

    How many clips the test questions are about is not stated by their owner.
    """
    return [
        DatasetSpec(
            name="msvd",
            summary="MSVD: 1970 web clips of about 10 s, about 41 sentences each, and questions",
            factory="harness_msvd.dataset:build",
            aliases=("MSVD",),
            options=AnnotatedOptions,
            sample="harness_msvd.sample:write_sample",
            paper="Chen & Dolan, Collecting Highly Parallel Data for Paraphrase Evaluation, ACL 2011",
            licence="none stated; YouTube clips, treat as research only",
            protocols=(
                ProtocolSpec(
                    name="test-670",
                    summary="670 clips, every sentence a query of its own",
                    train="train",
                    test="test",
                    val="val",
                    n_queries=27763,
                    n_gallery=670,
                ),
                ProtocolSpec(
                    name="captioning",
                    summary="670 clips, each described and compared with all its sentences",
                    train="train",
                    test="test",
                    val="val",
                    tasks=("captioning",),
                    query_unit="clip",
                    n_queries=670,
                    n_gallery=670,
                ),
                ProtocolSpec(
                    name="qa",
                    summary="MSVD-QA: 13157 questions; or data.train_split=qa-train+val",
                    train="qa-train",
                    test="qa-test",
                    val="qa-val",
                    tasks=("video_qa",),
                    query_unit="question",
                    n_queries=13157,
                ),
            ),
        )
    ]
