"""Declares the data set ``activitynet``."""

from __future__ import annotations

from harness import DatasetSpec, ProtocolSpec, hookimpl
from harness_activitynet.dataset import ActivityNetOptions

HARNESS_API = (1, 1)


@hookimpl
def harness_datasets() -> list[DatasetSpec]:
    """Both validation sets; the literature reports the first one, as paragraph-to-video retrieval."""
    return [
        DatasetSpec(
            name="activitynet",
            summary="ActivityNet Captions: 14 926 YouTube videos of 2 min, all sentences of a video as a paragraph",
            factory="harness_activitynet.dataset:build",
            aliases=("ActivityNet", "ActivityNet-Captions", "anet"),
            options=ActivityNetOptions,
            sample="harness_activitynet.sample:write_sample",
            paper="Krishna et al., Dense-Captioning Events in Videos, ICCV 2017",
            licence="none stated; YouTube videos, treat as research only",
            protocols=(
                ProtocolSpec(
                    name="val_1",
                    summary="the 4917 videos of the first validation annotation",
                    train="train",
                    test="val_1",
                    query_unit="paragraph",
                    n_queries=4917,
                    n_gallery=4917,
                    texts_hash="c419792e0201c3577961818e1cbb024bde38e8c759b70f703abe81881783eb96",
                ),
                ProtocolSpec(
                    name="val_2",
                    summary="the 4885 of these videos that have a second, independent annotation",
                    train="train",
                    test="val_2",
                    query_unit="paragraph",
                    n_queries=4885,
                    n_gallery=4885,
                    texts_hash="c6c20f1803e376544b79706bfcfa1f865571922cbc959688cd2c1d385b8c0b8c",
                ),
            ),
        )
    ]
