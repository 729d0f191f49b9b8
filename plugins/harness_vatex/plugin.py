"""Declares the data set ``vatex``."""

from __future__ import annotations

from harness import DatasetSpec, ProtocolSpec, hookimpl
from harness.data import AnnotatedOptions

HARNESS_API = (1, 1)


@hookimpl
def harness_datasets() -> list[DatasetSpec]:
    """Two test sets that go by one name in the literature; both train on the same clips."""
    return [
        DatasetSpec(
            name="vatex",
            summary="VATEX: web clips of 10 s, ten English sentences each",
            factory="harness_vatex.dataset:build",
            aliases=("VATEX",),
            options=AnnotatedOptions,
            sample="harness_vatex.sample:write_sample",
            paper="Wang et al., VATEX: A Large-Scale, High-Quality Multilingual Dataset, ICCV 2019",
            licence="annotations CC BY 4.0 (not verified); YouTube clips",
            protocols=(
                ProtocolSpec(
                    name="hgr-1500",
                    summary="1500 clips with ten sentences each, one half of the owner's validation set (HGR)",
                    train="train",
                    test="test",
                    val="val",
                    n_queries=15000,
                    n_gallery=1500,
                    # The texts and their order are those of the copy that VALOR and GRAM use.
                    texts_hash="2aa86678bbbdddef11ea9a358a2a11e908d45acbaf6231a752fb33f90f7aae8d",
                ),
                ProtocolSpec(
                    name="clip2video-1500",
                    summary="another 1500 out of the owner's validation set (CLIP2Video)",
                    train="train",
                    test="test-clip2video",
                    val="val",
                    n_queries=15000,
                    n_gallery=1500,
                ),
            ),
        )
    ]
