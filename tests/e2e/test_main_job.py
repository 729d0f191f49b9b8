"""The main job on a small MSR-VTT: real mp4 files in CLIP4Clip's layout, two methods, real towers."""

from __future__ import annotations

import pytest
import torch

from harness import lazy
from tests.support.msrvtt_tree import make_tree

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Two videos missing, one of each split, and one training video damaged."""
    root = tmp_path_factory.mktemp("msrvtt") / "root"
    return make_tree(root, train=24, test=8, missing=("video1", "video9771"), damaged=("video2",))


@pytest.mark.parametrize("method", ["clip_vip", "clip4clip_meanp"])
def test_a_method_trains_and_scores_from_tiny_clip(harness, tree, method):
    """Both methods run on the files people have, and the row says what was asked and missing."""
    record = harness.record(
        *("run", "--method", method, "--dataset", "msrvtt", "--data-root", str(tree.root)),
        *("--backbone", "tiny_clip", "--set", "train.epochs=2"),
    )
    assert (record["protocol"]["n_queries"], record["protocol"]["n_gallery"]) == (8, 8)
    assert [clip["id"] for clip in record["missing"]["test"]] == ["video9771"]
    assert [clip["id"] for clip in record["missing"]["train"]] == ["video1", "video2"]
    assert record["backbone"] == "tiny_clip"
    table = (harness.folder / "leaderboards" / "msrvtt.md").read_text()
    assert "8 sentences x 8 videos" in table
    assert "1 test / 2 train" in table


def test_a_full_size_tower_trains_one_step_from_local_weights(harness, tree, tmp_path):
    """ViT-B/32 loads a state dict of its full size strictly and takes one step with it."""
    torch.manual_seed(0)
    weights = tmp_path / "ViT-B-32.pt"
    torch.save(lazy.open_clip().create_model("ViT-B-32").state_dict(), weights)
    record = harness.record(
        *("run", "--method", "clip_vip", "--dataset", "msrvtt", "--data-root", str(tree.root)),
        *("--backbone", "ViT-B-32", "--weights", str(weights)),
        *("--set", "train.epochs=1", "--set", "data.frames=2", "--set", "data.candidates=2"),
    )
    assert record["pretraining"] == "weights:ViT-B-32.pt"
    assert record["parameters"] > 151_000_000
    steps = [step for folder in harness.folder.glob("runs/*") for step in (folder / "log.jsonl").open()]
    assert len(steps) == 1
