"""Declares the data set ``webvid``."""

from __future__ import annotations

from harness import DatasetSpec, ProtocolSpec, hookimpl
from harness.data import AnnotatedOptions

HARNESS_API = (1, 1)


@hookimpl
def harness_datasets() -> list[DatasetSpec]:
    """A source of training clips; its validation set only shows that training works."""
    return [
        DatasetSpec(
            name="webvid",
            summary="WebVid: 2.5 or 10 million stock videos with the text of their page, to train on",
            factory="harness_webvid.dataset:build",
            aliases=("WebVid", "webvid-2M"),
            options=AnnotatedOptions,
            sample="harness_webvid.sample:write_sample",
            paper="Bain et al., Frozen in Time: A Joint Video and Image Encoder for End-to-End Retrieval, "
            "ICCV 2021",
            licence="none for the videos, which belong to a stock agency; treat as research only",
            protocols=(
                ProtocolSpec(
                    name="val",
                    summary="the validation videos still there; data.train_split=train-10M for the larger set",
                    train="train",
                    test="val",
                ),
            ),
        )
    ]
