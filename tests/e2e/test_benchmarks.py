"""The main job on a miniature of each benchmark, in its owner's layout, with a video missing in each split."""

from __future__ import annotations

import json

import pytest

from harness.plan.opening import open_named
from harness.plugins import registry

pytestmark = pytest.mark.slow

#: data set, its default protocol, its training split, and what a query is
BENCHMARKS = [
    ("msrvtt", "1k-A", "train-9k", "sentence"),
    ("didemo", "test-1003", "train", "paragraph"),
    ("lsmdc", "test-1000", "train", "sentence"),
    ("activitynet", "val_1", "train", "paragraph"),
]


@pytest.mark.parametrize(("dataset", "protocol", "train", "unit"), BENCHMARKS)
def test_a_benchmark_from_its_sample_to_its_row(harness, tmp_path, dataset, protocol, train, unit):
    """A row states protocol and counts, and names the videos that were taken out of the sample."""
    root = tmp_path / dataset
    sampled = harness.finish("data", "sample", dataset, str(root))
    assert sampled.returncode == 0, sampled.stderr
    opened = open_named(dataset, registry(), data_root=str(root))
    test = next(p.test for p in opened.spec.protocols if p.name == protocol)
    assert opened.spec.default_protocol.name == protocol
    gone = {split: opened.dataset.clips(split)[1] for split in (train, test)}
    for clip in gone.values():
        clip.path.unlink()

    checked = harness.finish("data", "check", dataset, "--data-root", str(root), "--json")
    assert checked.returncode == 1, checked.stderr
    assert json.loads(checked.stdout)["splits"][test]["missing"] == [gone[test].id]

    record = harness.record(
        *("run", "--method", "clip_vip", "--dataset", dataset, "--data-root", str(root)),
        *("--backbone", "tiny_clip", "--set", "train.epochs=2"),
    )
    asked, gallery = len(opened.dataset.captions(test)), len(opened.dataset.clips(test))
    stated = record["protocol"]
    assert (stated["name"], stated["query_unit"]) == (protocol, unit)
    assert (stated["n_queries"], stated["n_gallery"]) == (asked, gallery) == (8, 8)
    assert [clip["id"] for clip in record["missing"]["test"]] == [gone[test].id]
    assert [clip["id"] for clip in record["missing"]["train"]] == [gone[train].id]
    table = (harness.folder / "leaderboards" / f"{dataset}.md").read_text()
    assert f"{protocol}: 8 {unit}s x 8 videos" in table and "1 test / 1 train" in table
