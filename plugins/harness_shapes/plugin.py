"""Declares the data set ``shapes``."""

from __future__ import annotations

from harness import DatasetSpec, ProtocolSpec, hookimpl
from harness_shapes.options import ShapesOptions, fingerprint

HARNESS_API = (1, 1)


@hookimpl
def harness_datasets() -> list[DatasetSpec]:
    """One generated data set; retrieval, captioning and question answering share its 192 test clips."""
    return [
        DatasetSpec(
            name="shapes",
            summary="coloured shapes in motion, generated; half the clips differ only in time",
            factory="harness_shapes.dataset:build",
            options=ShapesOptions,
            licence="Apache-2.0",
            recipe="harness_shapes:recipes/shapes.yaml",
            generated=True,
            fingerprint=fingerprint(ShapesOptions().seed),
            protocols=(
                ProtocolSpec(
                    name="test-192",
                    summary="each colour, shape and motion once",
                    train="train",
                    test="test",
                    n_queries=192,
                    n_gallery=192,
                ),
                ProtocolSpec(
                    name="captions-192",
                    summary="each colour, shape and motion once, to be described in one sentence",
                    train="train",
                    test="test",
                    tasks=("captioning",),
                    query_unit="clip",
                    n_queries=192,
                    n_gallery=192,
                ),
                ProtocolSpec(
                    name="questions-576",
                    summary="the colour, the shape and the motion of each test clip",
                    train="train",
                    test="test",
                    tasks=("video_qa",),
                    query_unit="question",
                    n_queries=576,
                    n_gallery=192,
                ),
            ),
        )
    ]
