"""Declares the data set ``msrvtt``."""

from __future__ import annotations

from harness import DatasetSpec, ProtocolSpec, hookimpl
from harness.data import AnnotatedOptions

HARNESS_API = (1, 1)


@hookimpl
def harness_datasets() -> list[DatasetSpec]:
    """The three test sets of retrieval, each with its own training split; captions and questions.

    A leaderboard keeps training splits apart, so 1k-A with train-7k is the same protocol. Only 1k-A
    states a hash: of the full captions there are two versions about, one with corrected spelling.
    """
    return [
        DatasetSpec(
            name="msrvtt",
            summary="MSR-VTT: 10 000 web clips of 10 to 32 s, 20 sentences each, and questions",
            factory="harness_msrvtt.dataset:build",
            aliases=("msr-vtt", "MSRVTT", "MSR-VTT"),
            options=AnnotatedOptions,
            sample="harness_msrvtt.sample:write_sample",
            paper="Xu et al., MSR-VTT: A Large Video Description Dataset, CVPR 2016",
            licence="none stated; YouTube clips, treat as research only",
            protocols=(
                ProtocolSpec(
                    name="1k-A",
                    summary="1000 clips with a sentence each (JSFusion); train-9k or train-7k",
                    train="train-9k",
                    test="test-1k-A",
                    n_queries=1000,
                    n_gallery=1000,
                    texts_hash="0f4ef34d7be269fc17f1c5626e35b882038fe959652749a39900685e454e189b",
                ),
                ProtocolSpec(
                    name="full",
                    summary="the original split: 2990 clips with 20 sentences each",
                    train="train-full",
                    test="test-full",
                    val="val-full",
                    n_queries=59800,
                    n_gallery=2990,
                ),
                ProtocolSpec(
                    name="1k-B",
                    summary="1000 clips with their first sentence (Miech)",
                    train="train-1k-B",
                    test="test-1k-B",
                    n_queries=1000,
                    n_gallery=1000,
                ),
                ProtocolSpec(
                    name="captioning",
                    summary="the original split: 2990 clips to describe, with 20 sentences each to compare",
                    train="train-full",
                    test="test-full",
                    val="val-full",
                    tasks=("captioning",),
                    query_unit="clip",
                    n_queries=2990,
                    n_gallery=2990,
                ),
                ProtocolSpec(
                    name="qa",
                    summary="MSRVTT-QA: 72821 questions about test-full; or data.train_split=qa-train+val",
                    train="qa-train",
                    test="qa-test",
                    val="qa-val",
                    tasks=("video_qa",),
                    query_unit="question",
                    n_queries=72821,
                    n_gallery=2990,
                ),
            ),
        )
    ]
