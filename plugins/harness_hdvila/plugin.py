"""Declares the data set ``hdvila``."""

from __future__ import annotations

from harness import DatasetSpec, ProtocolSpec, hookimpl
from harness.data import AnnotatedOptions

HARNESS_API = (1, 1)


@hookimpl
def harness_datasets() -> list[DatasetSpec]:
    """A source of training clips; whatever is held out of it only shows that training works."""
    return [
        DatasetSpec(
            name="hdvila",
            summary="HD-VILA: up to 100 million clips of web videos with their subtitles, to train on",
            factory="harness_hdvila.dataset:build",
            aliases=("HD-VILA", "hdvila-100M"),
            options=AnnotatedOptions,
            sample="harness_hdvila.sample:write_sample",
            paper="Xue et al., Advancing High-Resolution Video-Language Representation with Large-Scale Video "
            "Transcriptions, CVPR 2022",
            licence="none for the videos, which belong to those who put them on the web; treat as research only",
            protocols=(
                ProtocolSpec(
                    name="val",
                    summary="clips held out as val.jsonl; the data set itself has no test set",
                    train="train",
                    test="val",
                ),
            ),
        )
    ]
