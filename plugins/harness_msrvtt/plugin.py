"""Declares the data set ``msrvtt``."""

from __future__ import annotations

from harness import DatasetSpec, ProtocolSpec, hookimpl
from harness_msrvtt.options import MsrvttOptions

HARNESS_API = (1, 1)


@hookimpl
def harness_datasets() -> list[DatasetSpec]:
    """The 1k-A test set, trained on train-9k unless a recipe names train-7k.

    One protocol, as both share the test pairs; a leaderboard keeps the training splits apart.
    """
    return [
        DatasetSpec(
            name="msrvtt",
            summary="MSR-VTT in the CLIP4Clip layout, 1k-A test",
            factory="harness_msrvtt.dataset:build",
            aliases=("msr-vtt", "MSRVTT"),
            options=MsrvttOptions,
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
                ),
            ),
        )
    ]
