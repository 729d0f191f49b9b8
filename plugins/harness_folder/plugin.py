"""Declares the data set ``folder``."""

from __future__ import annotations

from harness import DatasetSpec, ProtocolSpec, hookimpl
from harness.data import AnnotatedOptions

HARNESS_API = (1, 1)


@hookimpl
def harness_datasets() -> list[DatasetSpec]:
    """Its test set is whatever lies there: the hash of its ids and texts keeps the rows of two apart."""
    return [
        DatasetSpec(
            name="folder",
            local_ids=True,
            summary="your own videos, with captions in a csv or JSON file of (video, caption)",
            factory="harness_folder.dataset:build",
            options=AnnotatedOptions,
            sample="harness_folder.sample:write_sample",
            licence="your own",
            protocols=(
                ProtocolSpec(
                    name="test",
                    summary="the videos that the caption files put into the split 'test'",
                    train="train",
                    test="test",
                ),
            ),
        )
    ]
