"""Declares the data set ``lsmdc``."""

from __future__ import annotations

from harness import DatasetSpec, ProtocolSpec, hookimpl
from harness.data import AnnotatedOptions

HARNESS_API = (1, 1)


@hookimpl
def harness_datasets() -> list[DatasetSpec]:
    """The public test set of the 2016 challenge, and its validation set.

    Neither states a hash of its texts: the annotation files are given out by permission only.
    """
    return [
        DatasetSpec(
            name="lsmdc",
            summary="LSMDC16: 118 081 film clips of 2 to 5 s, a sentence each",
            factory="harness_lsmdc.dataset:build",
            aliases=("LSMDC", "LSMDC16"),
            options=AnnotatedOptions,
            sample="harness_lsmdc.sample:write_sample",
            paper="Rohrbach et al., Movie Description, IJCV 2017",
            licence="by permission of MPI-INF only, no redistribution",
            protocols=(
                ProtocolSpec(
                    name="test-1000",
                    summary="the 1000 clips of the public test set",
                    train="train",
                    test="test-1000",
                    val="val-7408",
                    n_queries=1000,
                    n_gallery=1000,
                ),
                ProtocolSpec(
                    name="val-7408",
                    summary="the validation set, a gallery seven times as large; not what papers report",
                    train="train",
                    test="val-7408",
                    n_queries=7408,
                    n_gallery=7408,
                ),
            ),
        )
    ]
