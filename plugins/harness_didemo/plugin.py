"""Declares the data set ``didemo``."""

from __future__ import annotations

from harness import DatasetSpec, ProtocolSpec, hookimpl
from harness_didemo.dataset import DidemoOptions

HARNESS_API = (1, 1)


@hookimpl
def harness_datasets() -> list[DatasetSpec]:
    """One test set in its two sizes, paragraphs in the order of the owner's file.

    VALOR's order of the sentences gives other texts and hence another hash, with which a row stands
    apart, as it should: where a text is cut to 64 tokens the order decides what is cut.
    """
    return [
        DatasetSpec(
            name="didemo",
            summary="DiDeMo: 10 464 Flickr videos of about 30 s, all sentences of a video as a paragraph",
            factory="harness_didemo.dataset:build",
            aliases=("DiDeMo", "DIDEMO"),
            options=DidemoOptions,
            sample="harness_didemo.sample:write_sample",
            paper="Anne Hendricks et al., Localizing Moments in Video with Natural Language, ICCV 2017",
            licence="annotations BSD-2-Clause; each video under a Creative Commons licence of its own",
            protocols=(
                ProtocolSpec(
                    name="test-1003",
                    summary="the test videos without the one that most copies lack (CLIP4Clip, VALOR, GRAM)",
                    train="train",
                    test="test-1003",
                    val="val",
                    query_unit="paragraph",
                    n_queries=1003,
                    n_gallery=1003,
                    texts_hash="7aa6aa1679ad1ba29b7f39f8dea0d46ce68a6dbaf2fe86be5fc50b1ee7c1ccd3",
                ),
                ProtocolSpec(
                    name="test-1004",
                    summary="all test videos of the original split",
                    train="train",
                    test="test-1004",
                    val="val",
                    query_unit="paragraph",
                    n_queries=1004,
                    n_gallery=1004,
                    texts_hash="7a0d05b8511efe761012af00f252901671388f11950ee578f1551ae29609ca8b",
                ),
            ),
        )
    ]
